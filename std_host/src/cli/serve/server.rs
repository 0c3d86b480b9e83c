//! The server itself: takes the data folder, listens on its socket, and stops when it is asked to.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
        net::SocketAddr,
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use std_host::{
    api::Api,
    manager::{Manager, ManagerConfig, ManagerError},
    server::Server,
    store::OpenError,
};
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::{Builder, Runtime},
    sync::watch,
};

use crate::cli::{
    client::{ATTEMPTS, BETWEEN, Client, SOCKET_FILE, STACK_BYTES, in_use, make_private, not_opened},
    exit::Exit,
    output,
    problem::Problem,
};

use super::Web;

/// Where the socket is made, in the data folder, before it has its name.
const NURSERY: &str = ".socket";
/// Threads that answer requests. What takes its time runs on others.
const THREADS: usize = 2;
/// Open files to have at most, if the system gives so many: connections, and what the jobs need.
const OPEN_FILES: u64 = 16 << 10;
/// How long requests that took their time may still take.
const LAST_WORK: Duration = Duration::from_secs(5);

pub(super) fn run(config: &ManagerConfig, web: Option<Web>, json: bool) -> Result<(), Problem> {
    check_path(&config.data.join(SOCKET_FILE))?;
    let stop = stop_on_signal()?;
    raise_open_files();
    let manager = open(config)?;
    run_on(config, manager, stop, web, json)?;
    output::eprint("stopped; its jobs go on at the next start");
    Ok(())
}

/// The same for a fleet, whose jobs run elsewhere.
#[cfg(feature = "nats")]
pub(super) fn run_for_fleet(
    fleet: &std_host::fleet::FleetConfig,
    config: &ManagerConfig,
    web: Option<Web>,
    json: bool,
) -> Result<(), Problem> {
    let stop = stop_on_signal()?;
    raise_open_files();
    let fleet = crate::cli::fleet::Fleet::open(fleet, config)?;
    let config = ManagerConfig { data: fleet.scratch.path().to_owned(), workers: 0, ..config.clone() };
    check_path(&config.data.join(SOCKET_FILE))?;
    run_on(&config, fleet.client.manager().clone(), stop, web, json)?;
    output::eprint("stopped; the fleet goes on");
    Ok(())
}

/// Answers requests about the jobs of a manager until it is to stop.
fn run_on(
    config: &ManagerConfig,
    manager: Manager,
    stop: watch::Receiver<bool>,
    web: Option<Web>,
    json: bool,
) -> Result<(), Problem> {
    let failed = |error: io::Error| Problem::new("failed", error);
    let socket = config.data.join(SOCKET_FILE);
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("toehold-api")
        .thread_stack_size(STACK_BYTES)
        .enable_io()
        .enable_time()
        .build()
        .map_err(failed)?;
    let web = web.and_then(|web| bind(&runtime, web).transpose()).transpose()?;
    let listener = listen(&runtime, &config.data, &socket)?;
    let url = web.as_ref().map(|(web, listener)| listener.local_addr().map(|address| web.url(address)));
    tell_ready(config, &socket, url.transpose().map_err(failed)?, json);
    let api = Api::new(manager.clone());
    runtime.block_on(async {
        let mut server = Server::new(api.clone());
        server.on_socket(listener);
        if let Some((Web { access, tls, .. }, listener)) = web {
            server.on_address(listener, access, tls);
        }
        let mut stop = stop;
        // An error means that nobody can ask it to stop any more, which can't be: the handler is there for good.
        server.run(async { drop(stop.wait_for(|stop| *stop).await) }).await;
    });
    // First nobody finds it any more, then the folder is free.
    if let Err(error) = fs::remove_file(&socket) {
        log::warn!("{}: {error}", socket.display());
    }
    runtime.shutdown_timeout(LAST_WORK);
    drop((api, manager));
    Ok(())
}

/// The folder's manager. Waits a moment for a command, or a server that stops, to let go of the folder.
fn open(config: &ManagerConfig) -> Result<Manager, Problem> {
    make_private(&config.data)?;
    for _ in 0..ATTEMPTS {
        if let Some(server) = Client::of_server(&config.data)? {
            let health: Value = server.get("/health")?;
            let message = format!(
                "{}: a `toehold serve` has it already, process {}",
                config.data.display(),
                health["process"]
            );
            return Err(Problem::new("data_in_use", message));
        }
        match Manager::open(config.clone()) {
            Ok(manager) => return Ok(manager),
            Err(ManagerError::Open(OpenError::InUse { .. })) => thread::sleep(BETWEEN),
            Err(error) => return Err(not_opened(&config.data, &error)),
        }
    }
    Err(in_use(&config.data))
}

/// Whether there may be a socket of this name, before anything is begun.
fn check_path(socket: &Path) -> Result<(), Problem> {
    if let Err(error) = SocketAddr::from_pathname(socket) {
        let message = format!(
            "{}: can't be a socket: {error}; its path may have about 100 bytes: name a data folder with a shorter one",
            socket.display()
        );
        return Err(Problem::new("failed", message));
    }
    if fs::symlink_metadata(socket).is_ok_and(|found| !found.file_type().is_socket()) {
        let message = format!("{}: is no socket; move it away", socket.display());
        return Err(Problem::new("failed", message));
    }
    Ok(())
}

/// A socket for the owner alone, in the place of one that a killed server left: this process has the folder's lock.
fn listen(runtime: &Runtime, data: &Path, socket: &Path) -> Result<UnixListener, Problem> {
    let nursery = data.join(NURSERY);
    let made = (|| {
        // Of a server that was killed just then.
        if nursery.exists() {
            fs::remove_dir_all(&nursery)?;
        }
        // In a folder for the owner alone, so that nobody else gets in before its mode is set.
        DirBuilder::new().mode(0o700).create(&nursery)?;
        let young = nursery.join("s");
        let _context = runtime.enter();
        let listener = UnixListener::bind(&young)?;
        fs::set_permissions(&young, Permissions::from_mode(0o600))?;
        fs::rename(&young, socket)?;
        fs::remove_dir(&nursery)?;
        Ok(listener)
    })();
    made.map_err(|error: io::Error| {
        Problem::new("failed", format!("{}: no socket: {error}", socket.display()))
    })
}

/// Listens on an address. Where nobody asked for one, and another program has the usual one, the server does without.
fn bind(runtime: &Runtime, web: Web) -> Result<Option<(Web, TcpListener)>, Problem> {
    match runtime.block_on(TcpListener::bind(web.address)) {
        Ok(listener) => Ok(Some((web, listener))),
        Err(error) if web.is_default => {
            output::eprint(&format!(
                "no page and no HTTP API: {}: {error}; `--listen ADDRESS` takes another address, `--listen none` does without",
                web.address
            ));
            Ok(None)
        }
        Err(error) => Err(Problem::new("settings", format!("--listen {}: {error}", web.address))),
    }
}

/// Each connection is an open file, and systems give a process few of them unless it asks for more.
fn raise_open_files() {
    if let Err(error) = rlimit::increase_nofile_limit(OPEN_FILES) {
        log::warn!("the limit of open files stays as it is: {error}");
    }
}

fn tell_ready(config: &ManagerConfig, socket: &Path, url: Option<String>, json: bool) {
    let (data, socket) = (config.data.display().to_string(), socket.display().to_string());
    let at = url.as_deref().unwrap_or(&socket);
    output::eprint(&format!("ready: {} workers on {data}, at {at}", config.workers));
    if json {
        let ready = json!({
            "event": "ready",
            "data": data,
            "socket": socket,
            "url": url,
            "process": std::process::id(),
            "workers": config.workers,
        });
        output::print(&ready.to_string());
    }
}

/// Becomes true with the first Ctrl-C or SIGTERM; a second one ends the process at once, which harms nothing.
fn stop_on_signal() -> Result<watch::Receiver<bool>, Problem> {
    let (stop, stopped) = watch::channel(false);
    let pressed = AtomicBool::new(false);
    let handler = move || {
        if pressed.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Cancelled as i32);
        }
        output::eprint("stopping; once more to stop at once");
        stop.send_replace(true);
    };
    ctrlc::set_handler(handler).map_err(|error| Problem::new("failed", error))?;
    Ok(stopped)
}
