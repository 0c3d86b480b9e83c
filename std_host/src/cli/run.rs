use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use std_host::{
    CheckpointFolder, Dispatch, GrantOptions, Host, HostConfig, JobHandle, operations::NetworkRule,
};
use toehold::{Limits, Uuid};

use super::{
    exit::Exit,
    input, logging,
    output::{self, Ran},
    progress::{self, Watcher},
    settings::{Settings, TrustArgs, default_data},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold run test-extension:counter --state '{\"target\": 10}'
  toehold run ./test-extension:wordcount --json
  toehold run some-extension:job --state @state.json --timeout 30s

Ctrl-C pauses the job, so that it can checkpoint; a second one cancels it.")]
pub(crate) struct RunArgs {
    /// The job: an extension's id or the path of its folder, a colon, the job's name
    #[arg(value_name = "EXTENSION:JOB", required_unless_present = "resume", conflicts_with = "resume")]
    job: Option<String>,
    /// What people write who leave out the colon.
    #[arg(hide = true)]
    job_apart: Option<String>,
    /// The folder that holds the extensions' folders [default: .]
    #[arg(long, value_name = "DIR", env = "TOEHOLD_EXTENSIONS")]
    extensions: Option<PathBuf>,
    /// The state that the job starts from; without it the extension's default
    #[arg(long, value_name = "JSON|@FILE")]
    state: Option<String>,
    /// Go on with a job from its checkpoint
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    resume: Option<PathBuf>,
    /// The library that the job works on
    #[arg(long, value_name = "UUID", conflicts_with = "resume")]
    library: Option<Uuid>,
    /// Fuel for all of the job, about one unit an instruction; without it as much as the manifest allows
    #[arg(long, value_name = "N")]
    fuel: Option<u64>,
    /// Fuel of a slice: smaller ones pause sooner, larger ones cost less
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    slice: u64,
    /// Cancel the job after this time, such as 500ms, 30s or 2min
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// A folder that the job may read by its absolute path, besides what its manifest asks for inside the
    /// extension's folder; can be given again
    #[arg(long, value_name = "DIR")]
    allow_dir: Vec<PathBuf>,
    /// A folder that the job may read and write if its manifest names it, or one inside it; can be given again
    #[arg(long, value_name = "DIR")]
    allow_write_dir: Vec<PathBuf>,
    /// A host that the job may reach if its manifest asks for it, such as api.example.com, *.example.com, or
    /// http://127.0.0.1:8080; or a network of addresses that are not public, such as 10.0.0.0/8; can be given again
    #[arg(long, value_name = "HOST", env = "TOEHOLD_ALLOW_NET", value_delimiter = ',')]
    allow_net: Vec<NetworkRule>,
    /// What `query:config.get` gives, instead of the extension's config.json
    #[arg(long, value_name = "JSON|@FILE")]
    config: Option<String>,
    /// The folder for checkpoints
    #[arg(long, value_name = "DIR", env = "TOEHOLD_DATA")]
    data: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &RunArgs) -> Exit {
    let bar = progress::bar();
    logging::start(log::LevelFilter::Info, bar.as_ref());
    let started = Instant::now();
    let prepared = prepare(args);
    let Prepared { host, job, resume_with } = match prepared {
        Ok(prepared) => prepared,
        Err(message) => return output::not_started(&message, args.json),
    };
    let timed_out = Arc::new(AtomicBool::new(false));
    let _timer = args.timeout.map(|timeout| start_timer(timeout, job.clone(), timed_out.clone()));
    pause_on_ctrl_c(job.clone());
    let watcher = Watcher::start(job.context().clone(), bar);
    let ended = job.wait_until_stopped();
    watcher.finish();

    let report = job.context().report();
    let exit = match &ended {
        None => Exit::Paused,
        Some(ended) => match Exit::of(&ended.outcome) {
            Exit::Completed if report.log_lines_dropped > 0 => Exit::LinesDropped,
            Exit::Cancelled if timed_out.load(Ordering::Relaxed) => Exit::TimedOut,
            exit => exit,
        },
    };
    let checkpoint = host.checkpoints().path(job.id());
    if matches!(exit, Exit::Completed | Exit::LinesDropped)
        && let Err(error) = host.checkpoints().remove(job.id())
    {
        log::warn!("{}: {error}", checkpoint.display());
    }
    output::ran(
        &Ran {
            job: &job,
            report: &report,
            ended: ended.as_ref(),
            exit,
            elapsed: started.elapsed(),
            // A failed job's checkpoint stays too: it is where one can go on once the cause is gone.
            checkpoint: checkpoint.exists().then_some(checkpoint.as_path()),
            resume_with: &resume_with,
        },
        args.json,
    );
    exit
}

/// A job that runs.
struct Prepared {
    host: Host,
    job: JobHandle,
    resume_with: Vec<String>,
}

fn prepare(args: &RunArgs) -> Result<Prepared, String> {
    // `--config` is something else here.
    let file = std::env::var_os("TOEHOLD_CONFIG").map(PathBuf::from);
    let mut settings = Settings::read(file.as_deref()).map_err(|problem| problem.message)?;
    args.trust.apply(&mut settings);
    let trust = settings.trust();
    let network = settings.network(&args.allow_net).map_err(|problem| problem.message)?;
    let data = args.data.clone().or(settings.data).or_else(default_data);
    let data = data.ok_or("there is no folder for checkpoints; name one with --data DIR")?;
    let extensions = args.extensions.clone().or(settings.extensions).unwrap_or_else(|| ".".into());
    let mut config = HostConfig::new(extensions, data);
    config.trust = trust;
    config.slice = args.slice;
    config.limits = Limits { fuel_per_job: args.fuel.unwrap_or(u64::MAX), ..Limits::default() };
    config.grants = GrantOptions {
        folders: args.allow_dir.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
        write_folders: args.allow_write_dir.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
        network,
        // Its checkpoints.
        protected: vec![absolute(&config.data)?],
        config: args.config.as_deref().map(|text| input::json("--config", text)).transpose()?,
    };
    let mut resume_with = folder_arguments("--allow-dir", &config.grants.folders);
    resume_with.extend(folder_arguments("--allow-write-dir", &config.grants.write_folders));
    let rules = config.grants.network.allow.iter();
    resume_with.extend(rules.flat_map(|rule| ["--allow-net".to_owned(), rule.to_string()]));
    resume_with.extend(["--data".to_owned(), absolute(&config.data)?.display().to_string()]);
    let host = Host::new(config);
    let job = match &args.resume {
        Some(path) => resume(&host, path)?,
        None => dispatch(&host, args)?,
    };
    let installed = host.extensions().get(job.context().extension()).map_err(|error| error.to_string())?;
    let folder = installed.folder().parent().unwrap_or(installed.folder());
    resume_with.extend(["--extensions".to_owned(), folder.display().to_string()]);
    if let Some(config) = &args.config {
        resume_with.extend(["--config".to_owned(), config.clone()]);
    }
    Ok(Prepared { host, job, resume_with })
}

fn folder_arguments(flag: &str, folders: &[PathBuf]) -> Vec<String> {
    folders.iter().flat_map(|folder| [flag.to_owned(), folder.display().to_string()]).collect()
}

fn dispatch(host: &Host, args: &RunArgs) -> Result<JobHandle, String> {
    let given = args.job.as_deref().unwrap_or_default();
    if let Some(apart) = &args.job_apart {
        return Err(format!("a job is one word, with a colon: write {given}:{apart}"));
    }
    let (extension, name) = given
        .rsplit_once(':')
        .filter(|(extension, name)| !extension.is_empty() && !name.is_empty())
        .ok_or_else(|| {
            format!("{given:?} names no job; write EXTENSION:JOB, such as test-extension:counter")
        })?;
    let extensions = host.extensions();
    let is_path = extension.contains(['/', '\\']) || extension == "." || extension == "..";
    let installed =
        if is_path { extensions.load(Path::new(extension)) } else { extensions.load_id(extension) };
    let installed = installed.map_err(|error| error.to_string())?;
    let id = installed.extension().id();
    for refused in installed.grants().files.refused() {
        log::warn!("{id}: {refused}");
    }
    for refused in installed.grants().network.refused() {
        log::warn!("{id}: {refused}");
    }
    let state = match &args.state {
        Some(text) => input::json("--state", text)?.to_string().into_bytes(),
        None => Vec::new(),
    };
    let dispatch = Dispatch { id: None, library: args.library, state };
    host.dispatch(&format!("{}:{name}", installed.extension().id()), dispatch)
        .map_err(|error| error.to_string())
}

fn resume(host: &Host, path: &Path) -> Result<JobHandle, String> {
    let checkpoint = CheckpointFolder::read(path).map_err(|error| error.to_string())?;
    host.extensions().load_id(&checkpoint.extension).map_err(|error| error.to_string())?;
    host.resume(&checkpoint).map_err(|error| format!("{}: {error}", path.display()))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Cancels the job after `timeout`, unless the sender is dropped before.
fn start_timer(timeout: Duration, job: JobHandle, timed_out: Arc<AtomicBool>) -> mpsc::Sender<()> {
    let (ended, has_ended) = mpsc::channel();
    thread::spawn(move || {
        if has_ended.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
            timed_out.store(true, Ordering::Relaxed);
            job.cancel();
        }
    });
    ended
}

fn pause_on_ctrl_c(job: JobHandle) {
    let pressed = AtomicU8::new(0);
    let handler = move || match pressed.fetch_add(1, Ordering::Relaxed) {
        0 => {
            output::eprint("pausing; once more to cancel");
            job.pause();
        }
        1 => job.cancel(),
        _ => std::process::exit(Exit::Cancelled as i32),
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will end the job without a checkpoint: {error}");
    }
}
