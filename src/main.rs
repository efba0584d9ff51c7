//! Arguments in, exit code out.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use ethmon::cli::{Check, Cli, Command, DeadLetter, LogFormat, Queue, Registry, Rules, Setup};
use ethmon::elastic::Client;
use ethmon::{agent, aggregator, alert, config, replay, rules, setup, slot, tasks};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.log_format);
    match run(cli.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A reader that has seen enough (`ethmon … | head`) is no failure worth a message.
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            {
                return ExitCode::SUCCESS;
            }
            let written = writeln!(io::stderr(), "ethmon: {error:#}");
            drop(written);
            ExitCode::FAILURE
        }
    }
}

/// False where a check found something wrong that it has already told.
fn run(command: Command) -> anyhow::Result<bool> {
    let out = &mut io::stdout();
    match command {
        Command::Agent {
            config,
            once: false,
            ..
        } => {
            let loaded = config::load_agent(&config)?;
            // Before there are threads: what captures is opened, and the privilege for it given up.
            let captures = agent::packets::Captures::open(loaded.packets.as_ref())?;
            serve(|stop| agent::run(config, loaded, captures, stop))
        }
        Command::Agent {
            config, patience, ..
        } => run_once(&config, patience, out),
        Command::Aggregator { config } => {
            let config = config::load_aggregator(&config)?;
            serve(|stop| aggregator::run(config, stop))
        }
        Command::Setup(options) => run_setup(&options, out),
        Command::Check(check) => run_check(check, out),
        Command::Rules(Rules::Test { files }) => alert::test(&files, out),
        Command::Replay {
            dirs,
            genesis,
            seconds_per_slot,
            slots_per_epoch,
        } => {
            let options = replay::Options {
                genesis,
                seconds_per_slot,
                slots_per_epoch,
            };
            replay::run(&dirs, &options, out).map(|()| true)
        }
        Command::DeadLetter(command) => run_dead_letter(command, out),
        Command::Queue(Queue::Inspect(at)) => {
            agent::queue::inspect(&at.data_dir, slot::now(), out).map(|()| true)
        }
        Command::Queue(Queue::Verify(at)) => agent::queue::verify(&at.data_dir, out),
        Command::Registry(Registry::Show(at)) => {
            agent::registry::show(&at.data_dir, out).map(|()| true)
        }
        Command::Registry(Registry::Reset { path, data_dir, .. }) => {
            let forgotten = agent::registry::reset(&data_dir.data_dir, path.as_deref())?;
            writeln!(
                out,
                "files forgotten, which the agent reads again when it runs: {forgotten}"
            )?;
            Ok(true)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "ethmon", out);
            Ok(true)
        }
    }
}

fn run_setup(options: &Setup, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    if options.print {
        return setup::print(options.only, out).map(|()| true);
    }
    let client = Client::new(&config::load_elasticsearch(&options.config)?)?;
    let mode = if options.check {
        setup::Mode::Check
    } else {
        setup::Mode::Apply
    };
    block_on(setup::run(
        &client,
        &setup::Options {
            mode,
            only: options.only,
        },
        out,
    ))
}

fn run_check(check: Check, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    match check {
        Check::Config { files } => check_files(&files, out, |file| Ok(config::check(file)?)),
        Check::Output { config } => {
            let elasticsearch = config::load_elasticsearch(&config)?;
            block_on(setup::check_output(&elasticsearch, out))
        }
        Check::Beacon { config } => {
            let config = config::load_agent(&config)?;
            let beacon = config
                .beacon
                .context("the configuration has no [beacon] section")?;
            block_on(agent::beacon::check::check(&beacon, out))
        }
        Check::Rules { files } => check_files(&files, out, |file| {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            rules::parse(&file.display().to_string(), &text)?;
            Ok("rule")
        }),
        Check::Processors { config, tests } => {
            let config = config::load_agent(&config)?;
            agent::process::check(&config, &tests, out)
        }
        Check::Packets { config, files } => {
            let config = match config {
                Some(config) => config::load_agent(&config)?.packets.unwrap_or_default(),
                None => config::Packets::default(),
            };
            agent::packets::check(&config, &files, out, &mut io::stderr())
        }
        Check::Logs { client, files } => agent::logs::check(client, &files, out, &mut io::stderr()),
    }
}

/// Checks file by file; what is wrong with one does not hide the next.
fn check_files(
    files: &[PathBuf],
    out: &mut dyn Write,
    check: impl Fn(&Path) -> anyhow::Result<&'static str>,
) -> anyhow::Result<bool> {
    let mut good = true;
    for file in files {
        match check(file) {
            Ok(kind) => writeln!(out, "{}: ok ({kind})", file.display())?,
            Err(problem) => {
                good = false;
                writeln!(out, "{problem:#}")?;
            }
        }
    }
    Ok(good)
}

fn run_dead_letter(command: DeadLetter, out: &mut dyn Write) -> anyhow::Result<bool> {
    use agent::dead_letter;
    match command {
        DeadLetter::List {
            filter,
            count,
            data_dir,
        } => match count {
            true => dead_letter::count(&data_dir.data_dir, &filter, out)?,
            false => dead_letter::list(&data_dir.data_dir, &filter, out)?,
        },
        DeadLetter::Show { number, data_dir } => {
            dead_letter::show(&data_dir.data_dir, number, out)?
        }
        DeadLetter::Replay { filter, data_dir } => {
            let replayed = dead_letter::replay(&data_dir.data_dir, &filter)?;
            writeln!(
                out,
                "documents back in the queue, which the agent ships when it runs: {replayed}"
            )?;
        }
        DeadLetter::Purge {
            filter, data_dir, ..
        } => {
            let purged = dead_letter::purge(&data_dir.data_dir, &filter)?;
            writeln!(out, "documents deleted: {purged}")?;
        }
    }
    Ok(true)
}

/// A signal ends it early.
fn run_once(
    config: &Path,
    patience: Duration,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let config = config::load_agent(config)?;
    block_on(async move {
        let stop = CancellationToken::new();
        let mut signals = tasks::Tasks::new(CancellationToken::new());
        signals.spawn("signals", tasks::stop_on_signal(stop.clone()));
        let outcome = agent::once(config, patience, stop.clone(), out).await;
        stop.cancel();
        signals.join().await?;
        outcome
    })
}

/// Runs a service until a signal or its own end.
fn serve<F>(service: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<bool>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let service = service(stop.clone());
    block_on(async move {
        let mut all = tasks::Tasks::new(stop.clone());
        let signals = stop.clone();
        all.spawn("signals", tasks::stop_on_signal(signals));
        all.spawn("service", async move {
            let ended = service.await;
            stop.cancel();
            ended
        });
        all.join().await.map(|()| true)
    })
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        // To fill a request holds a thread for milliseconds; the other one stamps what beacon nodes say meanwhile.
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(future)
}

fn start_logging(format: LogFormat) {
    let filter = config::log_filter().unwrap_or_else(|| "info".into());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match format {
        LogFormat::Human => logs.with_target(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
