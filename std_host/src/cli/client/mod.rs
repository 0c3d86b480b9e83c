//! Who answers the command: the `toehold serve` of a data folder, over its socket, or this process on the folder itself.
//! Both speak the same API.

mod here;
mod socket;
mod stream;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Request, Response, header},
};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std_host::{
    api::{Api, BUNDLE_BYTES},
    manager::ManagerConfig,
};
use toehold::Trust;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use self::stream::Stream;
use super::problem::Problem;
#[cfg(unix)]
pub(crate) use here::{make_private, not_opened};
pub(crate) use socket::SOCKET_FILE;
use socket::answers;

/// What a server says of itself, as far as it matters here.
#[derive(Deserialize)]
struct Health {
    /// None where it takes everybody's extensions.
    #[serde(default)]
    trusted_keys: Option<Vec<String>>,
}

/// What a command is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Only look.
    Read,
    /// Change something.
    Write,
}

/// Asks the API of a data folder.
pub(crate) struct Client {
    runtime: Runtime,
    transport: Transport,
    data: PathBuf,
}

enum Transport {
    Socket(PathBuf),
    Here(Router),
    /// This process too, for a fleet.
    #[cfg(feature = "nats")]
    Fleet(
        Router,
        #[expect(dead_code, reason = "it is there for as long as this is")] Box<crate::cli::fleet::Fleet>,
    ),
}

/// Why there was no answer.
#[cfg_attr(not(unix), allow(dead_code, reason = "without Unix sockets nobody is asked"))]
enum NoAnswer {
    /// Nobody is there any more.
    Gone,
    Other(String),
}

/// How often, and for how long in between, to look whether a folder is free, or its server there, that has neither now:
/// one that starts or stops. Who only reads can do without.
pub(crate) const ATTEMPTS: usize = 50;
const ATTEMPTS_TO_READ: usize = 10;
pub(crate) const BETWEEN: Duration = Duration::from_millis(100);
/// How long an answer may take to begin. To install an extension takes the longest.
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// Bytes of the stack of threads that load extensions, as the manager's workers have.
pub(crate) const STACK_BYTES: usize = 16 << 20;

impl Client {
    /// Finds who answers for a data folder, which `config` is for if that is this process.
    pub(crate) fn open(config: &ManagerConfig, need: Need) -> Result<Self, Problem> {
        let data = config.data.clone();
        let runtime = runtime()?;
        let socket = data.join(SOCKET_FILE);
        let here = |api: Api| Transport::Here(api.router());
        for _ in 0..if need == Need::Read { ATTEMPTS_TO_READ } else { ATTEMPTS } {
            if answers(&socket)? {
                let client = Self { runtime, transport: Transport::Socket(socket), data };
                if need == Need::Write {
                    client.trusts_no_others(&config.trust)?;
                }
                return Ok(client);
            }
            let free = match need {
                Need::Read => here::reader_of_free(&data)?,
                Need::Write => here::manager(config)?,
            };
            if let Some(api) = free {
                return Ok(Self { runtime, transport: here(api), data });
            }
            // Whoever has it may be about to listen, or to go.
            thread::sleep(BETWEEN);
        }
        match need {
            Need::Read => Ok(Self { runtime, transport: here(here::reader(&data, true)?), data }),
            Need::Write => Err(in_use(&data)),
        }
    }

    /// Asks a fleet. `config` is for this process's own part of it.
    #[cfg(feature = "nats")]
    pub(crate) fn of_fleet(
        fleet: &std_host::fleet::FleetConfig,
        config: &ManagerConfig,
    ) -> Result<Self, Problem> {
        let fleet = crate::cli::fleet::Fleet::open(fleet, config)?;
        let router = Api::new(fleet.client.manager().clone()).router();
        let data = fleet.scratch.path().to_owned();
        Ok(Self { runtime: runtime()?, transport: Transport::Fleet(router, Box::new(fleet)), data })
    }

    /// Makes sure that the server does not take what is not to be taken here: it goes by its own keys.
    fn trusts_no_others(&self, trust: &Trust) -> Result<(), Problem> {
        let Trust::Signed(ours) = trust else { return Ok(()) };
        let health: Health = self.get("/health")?;
        let is_ours = |key: &String| ours.iter().any(|ours| ours.to_string() == *key);
        if health.trusted_keys.is_some_and(|theirs| theirs.iter().all(is_ours)) {
            return Ok(());
        }
        let message = format!(
            "the `toehold serve` of {} takes extensions that your keys have not signed; start it with the same \
             --trust or trusted_keys",
            self.data.display()
        );
        Err(Problem::new("untrusted", message))
    }

    /// The server of a data folder, if one answers.
    pub(crate) fn of_server(data: &Path) -> Result<Option<Self>, Problem> {
        let socket = data.join(SOCKET_FILE);
        let here = || {
            Ok(Self {
                runtime: runtime()?,
                transport: Transport::Socket(socket.clone()),
                data: data.to_owned(),
            })
        };
        if answers(&socket)? { here().map(Some) } else { Ok(None) }
    }

    /// Whether a server answers, so that jobs run.
    pub(crate) fn is_served(&self) -> bool {
        // Whether a fleet has workers shows in time.
        !matches!(self.transport, Transport::Here(_))
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.ask(Method::GET, path, Body::empty())
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, json: &impl Serialize) -> Result<T, Problem> {
        let json = serde_json::to_vec(json).map_err(|error| Problem::new("failed", error))?;
        self.ask(Method::POST, path, Body::from(json))
    }

    pub(crate) fn post_bytes<T: DeserializeOwned>(&self, path: &str, bytes: Vec<u8>) -> Result<T, Problem> {
        self.ask(Method::POST, path, Body::from(bytes))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), Problem> {
        self.bytes(Method::DELETE, path, Body::empty()).map(drop)
    }

    pub(crate) fn get_bytes(&self, path: &str) -> Result<Bytes, Problem> {
        self.bytes(Method::GET, path, Body::empty())
    }

    /// Reads a stream of events and gives each line to `each`, until the job is over or `each` has enough. Says whether
    /// the stream came to its end; if not, it was cut off.
    pub(crate) fn follow(
        &self,
        path: &str,
        mut each: impl FnMut(Option<u64>, Value) -> ControlFlow<()>,
    ) -> Result<bool, Problem> {
        self.runtime.block_on(async {
            let response = self.send(Method::GET, path, Body::empty()).await?;
            let mut stream = Stream::new(response.into_body());
            while let Some(event) = stream.next().await {
                match event.name.as_str() {
                    // The second says that some are missing.
                    "" | "reset" => {
                        let line = parse(event.data.as_bytes())?;
                        if each(event.id, line).is_break() {
                            return Ok(true);
                        }
                    }
                    "end" => return Ok(true),
                    "error" => return Err(problem(event.data.as_bytes(), "500")),
                    // Of a newer server, or that the stream has begun.
                    _ => {}
                }
            }
            Ok(false)
        })
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Body) -> Result<T, Problem> {
        parse(&self.bytes(method, path, body)?)
    }

    fn bytes(&self, method: Method, path: &str, body: Body) -> Result<Bytes, Problem> {
        self.runtime.block_on(async {
            let response = self.send(method, path, body).await?;
            let body = Limited::new(response.into_body(), BUNDLE_BYTES.saturating_mul(2)).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| self.broken(&error.to_string()))
        })
    }

    /// Sends a request, and gives the answer if it is a good one.
    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Response<Body>, Problem> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "localhost")
            .body(body)
            .map_err(|error| Problem::new("failed", error))?;
        let response = match &self.transport {
            #[cfg(feature = "nats")]
            Transport::Fleet(router, _) => {
                router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
            }
            Transport::Here(router) => {
                router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
            }
            Transport::Socket(socket) => {
                let answer = tokio::time::timeout(ANSWER_TIME, socket::send(socket, request)).await;
                let slow = |_| self.broken(&format!("no answer within {} s", ANSWER_TIME.as_secs()));
                match answer.map_err(slow)? {
                    Ok(response) => response,
                    Err(NoAnswer::Gone) => return Err(self.gone()),
                    Err(NoAnswer::Other(error)) => return Err(self.broken(&error)),
                }
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = Limited::new(response.into_body(), 1 << 20).collect().await;
        let body = body.map_err(|error| self.broken(&error.to_string()))?;
        Err(problem(&body.to_bytes(), status.as_str()))
    }

    /// That the server has gone.
    pub(crate) fn gone(&self) -> Problem {
        let message = format!(
            "the `toehold serve` of {} has stopped; its jobs go on once it is started again",
            self.data.display()
        );
        Problem::new("no_serve", message)
    }

    /// That there is no server, and what would come of that.
    pub(crate) fn not_served(&self, so: &str) -> Problem {
        let message =
            format!("nobody runs the jobs of {}, so {so}; start `toehold serve`", self.data.display());
        Problem::new("not_running", message)
    }

    /// The same problem, where it is that no extension of this id is installed, with what to do about that.
    pub(crate) fn about_extension(&self, id: &str, problem: Problem) -> Problem {
        if problem.code != "unknown_extension" {
            return problem;
        }
        let message = format!(
            "no extension {id:?} is installed in {}; `toehold extension add PATH` installs one, and \
             `toehold extension list` shows those that are there",
            self.data.display()
        );
        Problem { message, ..problem }
    }

    fn broken(&self, error: &str) -> Problem {
        let socket = self.data.join(SOCKET_FILE);
        let message =
            format!("{}: the server there did not answer as `toehold serve` does: {error}", socket.display());
        Problem::new("no_serve", message)
    }
}

fn runtime() -> Result<Runtime, Problem> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|error| Problem::new("failed", format!("no thread for the command: {error}")))
}

/// That another process has a data folder.
pub(crate) fn in_use(data: &Path) -> Problem {
    let message = format!(
        "{}: another process has it, and no `toehold serve` answers there; it may be about to start or to stop: try again",
        data.display()
    );
    Problem::new("data_in_use", message)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message =
            format!("the server's answer can't be read: {error}; is it of another version of toehold?");
        Problem::new("failed", message)
    })
}

/// What the API says of why it refused something.
fn problem(body: &[u8], status: &str) -> Problem {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text =
        |name: &str| value.pointer(&format!("/error/{name}")).and_then(Value::as_str).map(str::to_owned);
    Problem {
        code: text("code").unwrap_or_else(|| "failed".to_owned()).into(),
        message: text("message").unwrap_or_else(|| format!("the server answered with status {status}")),
    }
}

/// A text as a part of a path or a query.
pub(crate) fn escaped(text: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        assert_eq!(escaped("a b&/ü"), "a%20b%26%2F%C3%BC");
    }
}
