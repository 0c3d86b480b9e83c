//! NATS servers on this machine, which are killed and started again.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use std_host::fleet::FleetConfig;
use tempfile::TempDir;

/// How long servers may take to be there, whatever else this machine does.
const PATIENCE: Duration = Duration::from_secs(60);

/// One server, or several that are a cluster; they are gone with this.
pub(crate) struct Servers {
    nodes: Vec<Node>,
    _folder: TempDir,
}

pub(crate) struct Node {
    config: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Servers {
    pub(crate) fn start(count: usize) -> Self {
        Self::with(count, "", "")
    }

    /// With something more in the block `jetstream` and in the whole of each one's configuration.
    pub(crate) fn with(count: usize, jetstream: &str, more: &str) -> Self {
        let ports = free_ports(count * 2);
        let folder = tempfile::tempdir().unwrap();
        let routes: Vec<String> =
            ports[count..].iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut nodes = Vec::new();
        for index in 0..count {
            let (port, cluster) = (ports[index], ports[count + index]);
            let store = folder.path().join(format!("n{index}"));
            let mut text = format!(
                "server_name: n{index}\nlisten: 127.0.0.1:{port}\nmax_payload: 1MB\n\
                 jetstream {{ store_dir: {store:?}, max_mem: 256MB, max_file: 4GB, {jetstream} }}\n{more}\n",
            );
            if count > 1 {
                text += &format!(
                    "cluster {{ name: toe, no_advertise: true, listen: 127.0.0.1:{cluster}, routes: [{}] }}\n",
                    routes.join(", ")
                );
            }
            let config = folder.path().join(format!("n{index}.conf"));
            fs::write(&config, text).unwrap();
            nodes.push(Node { config, port, child: None });
        }
        Self::of(nodes, folder)
    }

    /// One server with this configuration, but for where it listens.
    pub(crate) fn only(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, port) = (folder.path().join("only.conf"), free_ports(1)[0]);
        fs::write(&config, format!("listen: 127.0.0.1:{port}\n{text}\n")).unwrap();
        Self::of(vec![Node { config, port, child: None }], folder)
    }

    fn of(nodes: Vec<Node>, folder: TempDir) -> Self {
        let mut servers = Self { nodes, _folder: folder };
        servers.start_all();
        servers
    }

    pub(crate) fn start_all(&mut self) {
        let program = program();
        self.nodes.iter_mut().for_each(|node| node.start(&program));
        self.nodes.iter().for_each(Node::wait);
    }

    /// Without anything that they could still do.
    pub(crate) fn kill_all(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
    }

    /// Kills the one of this name.
    pub(crate) fn kill(&mut self, name: String) {
        let index: usize = name.trim_start_matches('n').parse().unwrap();
        self.nodes[index].kill();
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("nats://127.0.0.1:{}", node.port)).collect()
    }

    pub(crate) fn config(&self, fleet: &str) -> FleetConfig {
        FleetConfig { name: fleet.to_owned(), ..FleetConfig::new(self.urls()) }
    }
}

/// A stream of the fleet, seen by its servers.
pub(crate) struct Stream {
    runtime: tokio::runtime::Runtime,
    context: async_nats::jetstream::Context,
    name: &'static str,
}

impl Stream {
    pub(crate) fn open(servers: &Servers, name: &'static str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async_nats::connect(servers.urls())).unwrap();
        let context = runtime.block_on(async { async_nats::jetstream::new(client) });
        Self { runtime, context, name }
    }

    fn info(&self) -> Option<async_nats::jetstream::stream::Info> {
        self.runtime.block_on(async {
            let stream = self.context.get_stream(self.name).await.ok()?;
            Some(stream.cached_info().clone())
        })
    }

    /// Messages in it, if somebody answers.
    pub(crate) fn messages(&self) -> Option<u64> {
        self.info().map(|info| info.state.messages)
    }

    /// Leaves no room for anything more.
    pub(crate) fn fill(&self) {
        self.limit(i64::try_from(self.info().unwrap().state.bytes).unwrap());
    }

    /// Lets it have as much as there is.
    pub(crate) fn make_room(&self) {
        self.limit(-1);
    }

    fn limit(&self, max_bytes: i64) {
        let config = async_nats::jetstream::stream::Config { max_bytes, ..self.info().unwrap().config };
        self.runtime.block_on(self.context.update_stream(config)).unwrap();
    }

    /// How often a message was given to those who take them by this consumer.
    pub(crate) fn deliveries(&self, consumer: &str) -> u64 {
        self.runtime.block_on(async {
            let stream = self.context.get_stream(self.name).await.unwrap();
            stream.consumer_info(consumer).await.unwrap().delivered.consumer_sequence
        })
    }

    /// The server that leads it, if one does.
    pub(crate) fn leader(&self) -> Option<String> {
        self.info()?.cluster?.leader
    }
}

impl Node {
    fn start(&mut self, program: &Path) {
        if self.child.is_none() {
            let mut command = Command::new(program);
            command.arg("--config").arg(&self.config).stdout(Stdio::null()).stderr(Stdio::null());
            self.child = Some(command.spawn().unwrap());
        }
    }

    fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "the server on port {} does not listen", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// The server's program: where the variable says, where `cargo xtask` puts it, or in the path.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("TOEHOLD_NATS_SERVER") {
        return path.into();
    }
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/nats/nats-server");
    if fetched.is_file() { fetched } else { "nats-server".into() }
}

/// Ports that nobody has. All at once, so that none is given twice.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|one| one.local_addr().unwrap().port()).collect()
}

/// Opens something on servers that have just been started: a cluster needs a moment to find itself.
pub(crate) fn patiently<T, E: std::fmt::Display>(mut open: impl FnMut() -> Result<T, E>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match open() {
            Ok(opened) => return opened,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
