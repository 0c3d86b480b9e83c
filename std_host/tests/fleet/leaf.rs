//! A worker at the edge: it knows a leaf node, and only that knows the servers of the fleet.

use std::time::{Duration, Instant};

use serde_json::json;
use std_host::fleet::{FleetConfig, FleetStore, WorkerStatus};
use toehold::JobState;

use crate::{
    checkpoints::Checkpoints,
    link::Link,
    servers::{Servers, Stream, free_ports},
    workers::{Desk, Worker},
};

/// More than twice as long as an outage that takes no job from anybody: a sign of life comes in a third of it.
const LEASE: Duration = Duration::from_secs(4);
const OUTAGE: Duration = Duration::from_millis(1_500);
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Effects of the job that is cut off: enough for what happens to it.
const TARGET: u64 = 1_000;

/// The hub has the fleet. The edge has a server without JetStream, whose link to the hub can be cut, and a worker.
struct Edge {
    desk: Desk,
    link: Link,
    config: FleetConfig,
    worker: Worker,
    leaf: Servers,
    hub: Servers,
}

impl Edge {
    fn start(name: &str) -> Self {
        let port = free_ports(1)[0];
        let hub = Servers::with(
            1,
            "domain: hub",
            &format!("leafnodes {{ listen: 127.0.0.1:{port}, no_advertise: true }}"),
        );
        let link = Link::to(&format!("127.0.0.1:{port}"));
        let leaf = Servers::only(&format!(
            "server_name: edge\nmax_payload: 1MB\nping_interval: 5\n\
             leafnodes {{ remotes: [{{ url: \"nats-leaf://{}\" }}] }}",
            link.address()
        ));
        let config = FleetConfig { lease: LEASE, ..hub.config(name) };
        let desk = Desk::with_extension(&config);
        let worker = Worker::start(&leaf.urls()[0], &config, 10, &["--name", "edge", "--nats-domain", "hub"]);
        Self { desk, link, config, worker, leaf, hub }
    }

    /// Waits until a worker of this name is there, as is asked for.
    #[track_caller]
    fn wait_for(&self, name: &str, is_it: impl Fn(&WorkerStatus) -> bool) {
        wait_until(|| {
            let workers = self.desk.client.workers().unwrap();
            workers.iter().any(|worker| worker.name == name && is_it(worker))
        });
    }
}

#[track_caller]
fn wait_until(is_it: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_it() {
        assert!(Instant::now() < until, "nothing has happened for {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_worker_behind_a_leaf_node_goes_on_after_an_outage_and_lets_go_of_what_others_took() {
    let edge = Edge::start("edge");
    let Edge { desk, link, config, hub, .. } = &edge;
    let values = Stream::open(hub, "EDGE_VALUES");
    let mut checkpoints = Checkpoints::of(config);
    let job = desk.dispatch("tally", &json!({ "target": TARGET, "pace_ms": 10 }));
    edge.wait_for("edge", |worker| worker.jobs == 1);
    let other = Worker::start(&hub.urls()[0], config, 10, &["--name", "hub"]);

    // The link is away for less than a lease: first without anybody being told, then closed.
    for turn in [Link::cut, Link::break_off] {
        checkpoints.check(&[job]);
        turn(link, true);
        let before = Instant::now();
        wait_until(|| before.elapsed() >= OUTAGE);
        let done = desk.items(job);
        turn(link, false);
        wait_until(|| desk.items(job) > done + 20);
    }
    edge.wait_for("hub", |worker| worker.jobs == 0);
    edge.wait_for("edge", |worker| worker.jobs == 1);
    assert_eq!(desk.state(job), JobState::Running);

    // It is away for longer.
    checkpoints.check(&[job]);
    link.cut(true);
    edge.wait_for("hub", |worker| worker.jobs == 1);
    checkpoints.check(&[job]);
    // What the edge sent meanwhile arrives while the other one is at work.
    link.cut(false);
    edge.wait_for("edge", |worker| worker.jobs == 0);
    // It fails itself where an effect is there twice.
    assert_eq!(desk.wait(job, &[JobState::Completed, JobState::Failed]), JobState::Completed);
    checkpoints.check(&[job]);
    assert_eq!(desk.items(job), TARGET);
    assert_eq!(values.messages(), Some(TARGET), "each effect is there once");
    // The edge's claim, the hub's, and this one.
    assert_eq!(
        FleetStore::open(config).unwrap().take(job).unwrap(),
        3,
        "no other outage cost the edge its job"
    );

    // The edge is in the fleet as before.
    other.stop();
    let next = desk.dispatch("tally", &json!({ "target": 10 }));
    desk.wait(next, &[JobState::Completed]);
    edge.worker.stop();
    drop(edge.leaf);
}
