//! Tables for people: one column below the other, numbers to the right. No cell is empty, so that `awk` counts right, too.

use std::io::Write;

use anyhow::Context;

/// The first row is the heading. A last column of text is not filled up.
pub(super) fn write<const N: usize>(
    rows: &[[String; N]],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let widths: Vec<usize> = (0..N)
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        })
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| {
            let is_number = cell.bytes().all(|byte| byte.is_ascii_digit());
            match is_number {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end()).context("cannot write the table")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [
            row(["what", "events", "stream"]),
            row(["a", "12", "logs-a"]),
            row(["blocks", "1234567", "-"]),
        ];
        let mut out = Vec::new();
        write(&rows, &mut out).unwrap();
        let expected = "what    events   stream\na            12  logs-a\nblocks  1234567  -\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
