//! A job that goes from a laptop to the fleet and on to a board.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use std_host::fleet::FleetConfig;

use crate::{
    emulated::Emulated,
    servers::Servers,
    workers::{Desk, Worker, extension},
};

/// More than any of the three comes to.
const ENDLESS: u64 = 4_000_000_000;

struct Commands<'a> {
    data: &'a Path,
    nats: String,
}

impl Commands<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
        command.args(arguments).current_dir(self.data).env("TOEHOLD_DATA", self.data.join("data"));
        command.output().unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        assert!(out.status.success(), "{arguments:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    #[track_caller]
    fn fleet(&self, arguments: &[&str]) -> String {
        self.ok(&[arguments, &["--nats", &self.nats, "--fleet", "migration"]].concat())
    }

    #[track_caller]
    fn items(&self, status: &str) -> u64 {
        let status: Value = serde_json::from_str(status).unwrap();
        status["report"]["items"].as_u64().unwrap()
    }
}

#[test]
fn a_job_goes_from_a_laptop_to_the_fleet_and_on_to_a_board() {
    let servers = Servers::start(1);
    let config: FleetConfig = servers.config("migration");
    let folder = tempfile::tempdir().unwrap();
    let commands = Commands { data: folder.path(), nats: servers.urls()[0].clone() };
    let extension = extension().display().to_string();
    let board = Emulated::new();
    let port = board.port();
    commands.ok(&["extension", "add", &extension]);
    commands.fleet(&["extension", "add", &extension]);
    commands.ok(&["board", "--port", &port, "install", &extension]);
    assert!(commands.fleet(&["extension", "list"]).contains("test-extension"));

    // A checkpoint on the laptop: the job runs there as long as it takes to be seen.
    let state = json!({ "target": ENDLESS }).to_string();
    let id = commands.ok(&["job", "dispatch", "test-extension:counter", "--state", &state]);
    let mut serve = Command::new(env!("CARGO_BIN_EXE_toehold"));
    let data = folder.path().join("data");
    let mut serve = serve.args(["serve", "--listen", "none", "--data"]).arg(&data).spawn().unwrap();
    let status = |commands: &Commands<'_>| commands.run(&["job", "show", &id, "--json"]);
    loop {
        let out = status(&commands);
        let shown: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        if shown["report"]["items"].as_u64().is_some_and(|items| items > 100) {
            break;
        }
    }
    commands.ok(&["job", "pause", &id]);
    commands.ok(&["job", "export", &id, "-o", "laptop.job"]);
    let on_laptop = commands.items(&commands.ok(&["job", "show", &id, "--json"]));
    commands.ok(&["job", "remove", &id]);
    serve.kill().unwrap();
    serve.wait().unwrap();

    let _worker = Worker::start(&servers.urls()[0], &config, 4, &[]);
    commands.fleet(&["job", "import", "laptop.job", "--paused"]);
    let in_fleet = || commands.items(&commands.fleet(&["job", "show", &id, "--json"]));
    assert_eq!(in_fleet(), on_laptop);
    commands.fleet(&["job", "resume", &id]);
    while in_fleet() <= on_laptop {}
    let desk = Desk::open(&config);
    let fleet_id = id.parse().unwrap();
    assert_eq!(desk.state(fleet_id), toehold::JobState::Running);

    // The board's own command pauses it, takes it over, and removes it from the fleet.
    commands.fleet(&["board", "--port", &port, "send", &id]);
    let on_board = || commands.items(&commands.ok(&["board", "--port", &port, "status", &id, "--json"]));
    let arrived = on_board();
    assert!(arrived > on_laptop);
    while on_board() <= arrived {}
    let out = commands.run(&["job", "show", &id, "--nats", &commands.nats, "--fleet", "migration"]);
    assert!(!out.status.success(), "it is still in the fleet: {out:?}");
}
