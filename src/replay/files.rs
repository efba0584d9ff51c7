//! Lines of recorded files, compressed or not, as far as they can be read; and the account of what could not be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

/// A longer line is no answer of a node.
const LINE_LIMIT: u64 = 256 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What could not be used, by file and reason: how often, and the first line where it stood.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<(PathBuf, &'static str), Trouble>);

#[derive(Debug, Default)]
struct Trouble {
    count: u64,
    /// Counted from 1.
    first_line: Option<u64>,
}

impl Troubles {
    pub(super) fn add(&mut self, path: &Path, reason: &'static str, count: u64) {
        if count > 0 {
            self.entry(path, reason).count += count;
        }
    }

    fn add_line(&mut self, path: &Path, reason: &'static str, line: u64) {
        let trouble = self.entry(path, reason);
        trouble.count += 1;
        trouble.first_line.get_or_insert(line);
    }

    fn entry(&mut self, path: &Path, reason: &'static str) -> &mut Trouble {
        self.0.entry((path.to_owned(), reason)).or_default()
    }

    pub(super) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        for ((path, reason), trouble) in &self.0 {
            let path = path.display();
            match trouble.first_line {
                Some(line) => writeln!(out, "{path}:{line}: {reason}: {}", trouble.count)?,
                None => writeln!(out, "{path}: {reason}: {}", trouble.count)?,
            }
        }
        Ok(())
    }
}

/// `NAME.gz` in a folder, or `NAME` where that is not there.
pub(super) fn find(folder: &Path, name: &str) -> PathBuf {
    let compressed = folder.join(format!("{name}.gz"));
    if compressed.exists() {
        compressed
    } else {
        folder.join(name)
    }
}

/// Calls `each` with every line of a file, compressed or not. `each` says what is wrong with a line that can't be used.
pub(super) fn each_line(
    path: &Path,
    troubles: &mut Troubles,
    mut each: impl FnMut(&[u8]) -> Result<(), &'static str>,
) {
    let mut reader = match open(path) {
        Ok(reader) => reader,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return troubles.add(path, "missing", 1);
        }
        Err(_) => return troubles.add(path, "cannot be opened", 1),
    };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut line);
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        match read {
            Ok(0) => return,
            Ok(_) if !whole && line.len() as u64 == LINE_LIMIT => {
                return troubles.add_line(path, "line too long, rest not read", number);
            }
            Ok(_) => {
                line.pop_if(|last| *last == b'\r');
                if let Err(reason) = each(&line) {
                    troubles.add_line(path, reason, number);
                }
            }
            Err(_) => {
                return troubles.add_line(path, "cut off or damaged, rest not read", number);
            }
        }
    }
}

/// All of a file, as far as it can be read.
pub(super) fn whole(path: &Path, troubles: &mut Troubles) -> Vec<u8> {
    let mut bytes = Vec::new();
    match open(path) {
        Ok(reader) => {
            if reader.take(LINE_LIMIT).read_to_end(&mut bytes).is_err() {
                troubles.add(path, "cut off or damaged, rest not read", 1);
            }
        }
        Err(_) => troubles.add(path, "cannot be opened", 1),
    }
    bytes
}

/// To look at what kind of file it is.
pub(super) fn first_line(path: &Path) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    open(path)
        .ok()?
        .take(LINE_LIMIT)
        .read_until(b'\n', &mut line)
        .ok()?;
    Some(line)
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::with_capacity(
            1 << 16,
            MultiGzDecoder::new(file),
        )));
    }
    Ok(Box::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.gz"), bytes).unwrap();
        let mut lines = Vec::new();
        let mut troubles = Troubles::default();
        each_line(&find(folder.path(), "x"), &mut troubles, |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            if line == b"bad" {
                Err("bad line")
            } else {
                Ok(())
            }
        });
        let mut text = Vec::new();
        troubles.write_to(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        (
            lines,
            text.replace(&format!("{}/", folder.path().display()), ""),
        )
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_are_read_alike() {
        assert_eq!(read(&gzip("one\r\ntwo")), read(b"one\ntwo\n"));
        assert_eq!(
            read(b"one\nbad\n"),
            (
                vec!["one".into(), "bad".into()],
                "x.gz:2: bad line: 1\n".into()
            )
        );
    }

    #[test]
    fn a_file_that_is_cut_off_gives_what_it_has() {
        let text: String = (0..20_000)
            .map(|number| format!("line {number} {}\n", number * 7919 % 1_000_003))
            .collect();
        let mut bytes = gzip(&text);
        bytes.truncate(bytes.len() / 2);
        let (lines, troubles) = read(&bytes);
        assert!(
            lines.len() > 1_000 && lines.len() < 20_000,
            "{}",
            lines.len()
        );
        assert_eq!(lines[..1_000], text.lines().take(1_000).collect::<Vec<_>>());
        let number = lines.len() + 1;
        let told = format!("x.gz:{number}: cut off or damaged, rest not read: 1\n");
        assert_eq!(troubles, told);
    }

    #[test]
    fn a_missing_file_is_named() {
        let mut troubles = Troubles::default();
        each_line(Path::new("/nonexistent/x"), &mut troubles, |_| Ok(()));
        assert_eq!(troubles.0.keys().next().unwrap().1, "missing");
    }
}
