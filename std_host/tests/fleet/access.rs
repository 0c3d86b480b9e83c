//! Who may do what: TLS, passwords, credentials and permissions of the servers' users.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair as Nkey;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std_host::{
    fleet::FleetConfig,
    manager::{Dispatch, JobError},
};
use tempfile::TempDir;
use toehold::JobState;

use crate::{
    servers::Servers,
    workers::{Desk, Worker},
};

/// The users that docs/fleet.md tells of.
const USERS: &str = include_str!("../../../docs/fleet-users.conf");
const LEASE: Duration = Duration::from_secs(2);
/// How long a command may take to say that it is refused, whatever else this machine does: it tries nothing again.
const SOON: Duration = Duration::from_secs(15);

/// The fleet `toehold` as one of [`USERS`] has it.
fn fleet_of(user: &str, servers: &Servers) -> FleetConfig {
    FleetConfig::new([url_of(user, servers)])
}

fn url_of(user: &str, servers: &Servers) -> String {
    servers.urls()[0].replace("nats://", &format!("nats://{user}:{user}-secret@"))
}

/// Runs a command to its end.
fn toehold(args: &[&str]) -> (Output, Duration) {
    let start = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_toehold")).args(args).output().unwrap();
    (output, start.elapsed())
}

/// Holds that a command says that it could not be done, in one line with all of these, soon.
#[track_caller]
fn refused(args: &[&str], with: &[&str]) {
    let (output, took) = toehold(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{args:?}: {error}");
    for part in with {
        assert!(error.contains(part), "{args:?}: {part:?} is not in {error}");
    }
    assert_eq!(error.trim().lines().count(), 1, "{error}");
    assert!(took < SOON, "{args:?} took {took:?}");
}

#[test]
fn users_with_no_more_than_they_need_run_dispatch_steer_and_look() {
    let servers = Servers::with(1, "", USERS);
    // It makes the fleet.
    drop(Desk::open(&FleetConfig { lease: LEASE, ..fleet_of("owner", &servers) }));
    let desk = Desk::with_extension(&fleet_of("desk", &servers));
    let start = || Worker::start(&url_of("worker", &servers), &fleet_of("worker", &servers), 10, &[]);
    let worker = start();
    // Effects; children; entries that are too large for one message.
    let over = [JobState::Completed, JobState::Failed, JobState::Paused];
    let done = desk.dispatch("tally", &json!({ "target": 20 }));
    let children = desk.dispatch("family", &json!({}));
    let large = desk.dispatch("crash", &json!({ "message": "x".repeat(1_000_000) }));
    assert_eq!(desk.wait(done, &over), JobState::Completed);
    assert_eq!(desk.wait(children, &over), JobState::Completed);
    assert_eq!(desk.wait(large, &over), JobState::Failed);
    desk.runtime.block_on(desk.client.manager().remove(large)).unwrap();
    let steered = desk.dispatch("tally", &json!({ "target": 1_000_000, "pace_ms": 1 }));
    desk.wait(steered, &[JobState::Running]);
    let handle = || desk.client.manager().job(steered).unwrap();
    desk.runtime.block_on(handle().pause()).unwrap();
    desk.wait(steered, &[JobState::Paused]);
    desk.runtime.block_on(handle().resume()).unwrap();
    desk.wait(steered, &[JobState::Running]);
    // Another one sees that its worker is gone.
    let items = desk.items(steered);
    drop(worker);
    let worker = start();
    let until = Instant::now() + Duration::from_secs(60);
    while desk.items(steered) <= items {
        assert!(Instant::now() < until, "nobody has taken the job over");
        std::thread::sleep(Duration::from_millis(20));
    }

    let viewer = Desk::open(&fleet_of("viewer", &servers));
    assert_eq!(viewer.state(done), JobState::Completed);
    assert!(!viewer.client.workers().unwrap().is_empty());
    let start = Instant::now();
    let asked = viewer.client.manager().dispatch("test-extension:counter", Dispatch::default());
    let error = viewer.runtime.block_on(asked).unwrap_err().to_string();
    assert!(error.contains("do not let this user publish to toehold.queue.normal"), "{error}");
    let asked = viewer.client.manager().job(steered).unwrap();
    let error: JobError = viewer.runtime.block_on(asked.cancel()).unwrap_err();
    assert!(error.to_string().contains("do not let this user publish to toehold.job."), "{error}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let url = url_of("viewer", &servers);
    refused(
        &["job", "dispatch", "test-extension:counter", "--nats", &url],
        &["putting job", "publish to toehold.queue.normal", "docs/fleet.md"],
    );
    assert_eq!(viewer.state(steered), JobState::Running);

    desk.runtime.block_on(handle().cancel()).unwrap();
    desk.wait(steered, &[JobState::Cancelled]);
    desk.runtime.block_on(desk.client.manager().remove(steered)).unwrap();
    worker.stop();
    // Who may do less than that hears what is missing.
    refused(
        &["worker", "--allow-unsigned", "--nats", &url],
        &["joining the fleet", "CONSUMER.INFO.TOEHOLD_QUEUE", "docs/fleet.md"],
    );
}

#[test]
fn a_viewer_goes_on_following_the_fleet_once_its_servers_were_started_again() {
    let mut servers = Servers::with(1, "", USERS);
    drop(Desk::open(&fleet_of("owner", &servers)));
    let desk = Desk::with_extension(&fleet_of("desk", &servers));
    let viewer = Desk::open(&fleet_of("viewer", &servers));
    // What followed the streams there is gone with them.
    servers.kill_all();
    servers.start_all();
    let job = desk.dispatch("counter", &json!({}));
    let until = Instant::now() + Duration::from_secs(60);
    while viewer.client.manager().job(job).is_err() {
        assert!(Instant::now() < until, "nobody has told the viewer of the job");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_wrong_password_is_told_at_once() {
    let servers = Servers::with(1, "", USERS);
    let url = servers.urls()[0].replace("nats://", "nats://owner:guessed@");
    refused(
        &["job", "list", "--nats", &url],
        &["no connection to NATS at nats://127.0.0.1", "authorization"],
    );
    refused(&["worker", "--allow-unsigned", "--nats", &url], &["authorization violation"]);
    refused(&["job", "list", "--nats", &servers.urls()[0]], &["authorization violation"]);
    let (done, _) = toehold(&["job", "list", "--nats", &url_of("owner", &servers)]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A certificate authority, and what it has signed, in files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Signs a certificate: `NAME.pem` and `NAME.key`.
    fn sign(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(self.file(&format!("{name}.pem")), params.signed_by(&key, &self.issuer).unwrap().pem())
            .unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn servers_and_hosts_know_each_other_by_their_certificates() {
    let (ours, others) = (Authority::new(), Authority::new());
    ours.sign("server");
    ours.sign("host");
    others.sign("host");
    let servers = Servers::with(
        1,
        "",
        &format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
            ours.file("server.pem"),
            ours.file("server.key"),
            ours.file("ca.pem")
        ),
    );
    let url = servers.urls()[0].replace("nats://", "tls://");
    let (ca, cert, key) = (ours.file("ca.pem"), ours.file("host.pem"), ours.file("host.key"));
    let known = ["--nats-ca", &ca, "--nats-cert", &cert, "--nats-key", &key];
    let list = ["job", "list", "--nats", &url];
    let where_to = format!("no connection to NATS at {url}");
    refused(&list, &[&where_to, "UnknownIssuer"]);
    refused(&[&list[..], &["--nats-ca", &ca]].concat(), &[&where_to, "certificate"]);
    let (cert, key) = (others.file("host.pem"), others.file("host.key"));
    let unknown = ["--nats-ca", &ca, "--nats-cert", &cert, "--nats-key", &key];
    refused(&[&list[..], &unknown].concat(), &[&where_to, "certificate"]);
    let missing = ["--nats-ca", "/nowhere/ca.pem"];
    refused(&[&list[..], &missing].concat(), &["/nowhere/ca.pem", "No such file"]);
    let config = FleetConfig {
        tls_ca: Some(known[1].into()),
        tls_identity: Some((known[3].into(), known[5].into())),
        ..FleetConfig::new([url.clone()])
    };
    completes(&config, &url, &known);
}

/// Holds that a worker with these arguments completes a job.
#[track_caller]
fn completes(config: &FleetConfig, url: &str, more: &[&str]) {
    let desk = Desk::with_extension(config);
    let worker = Worker::start(url, config, 1, more);
    let job = desk.dispatch("counter", &json!({ "target": 10 }));
    assert_eq!(desk.wait(job, &[JobState::Completed, JobState::Failed]), JobState::Completed);
    worker.stop();
}

/// A JWT as `nsc` makes it.
fn jwt(issuer: &Nkey, subject: &Nkey, kind: &str, mut claims: Value) -> String {
    claims["type"] = kind.into();
    claims["version"] = 2.into();
    let body = json!({
        "jti": kind, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": kind, "sub": subject.public_key(), "nats": claims
    });
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(body.to_string().as_bytes()));
    format!("{signed}.{}", encode(&issuer.sign(signed.as_bytes()).unwrap()))
}

/// A file with the credentials of a user of this account.
fn credentials(account: &Nkey, folder: &Path, name: &str) -> PathBuf {
    let user = Nkey::new_user();
    let claims = json!({ "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        jwt(account, &user, "user", claims),
        user.seed().unwrap()
    );
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_file_with_credentials_opens_its_account() {
    let (operator, system, account) = (Nkey::new_operator(), Nkey::new_account(), Nkey::new_account());
    let limits = json!({ "limits": {
        "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1, "wildcards": true,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1
    } });
    let no_jetstream =
        json!({ "limits": { "subs": -1, "conn": -1, "data": -1, "payload": -1, "wildcards": true } });
    let servers = Servers::with(
        1,
        "",
        &format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}",
            jwt(&operator, &operator, "operator", json!({})),
            system.public_key(),
            system.public_key(),
            jwt(&operator, &system, "account", no_jetstream),
            account.public_key(),
            jwt(&operator, &account, "account", limits),
        ),
    );
    let folder = tempfile::tempdir().unwrap();
    let ours = credentials(&account, folder.path(), "ours.creds");
    let url = servers.urls()[0].clone();
    let config = FleetConfig { credentials: Some(ours.clone()), ..FleetConfig::new([url.clone()]) };
    completes(&config, &url, &["--nats-credentials", ours.to_str().unwrap()]);
    // Of an account that no operator knows.
    let forged = credentials(&Nkey::new_account(), folder.path(), "forged.creds");
    let list = ["job", "list", "--nats", &url, "--nats-credentials"];
    refused(&[&list[..], &[forged.to_str().unwrap()]].concat(), &["authorization violation"]);
    let empty = folder.path().join("empty.creds");
    fs::write(&empty, "").unwrap();
    refused(&[&list[..], &[empty.to_str().unwrap()]].concat(), &["empty.creds"]);
}
