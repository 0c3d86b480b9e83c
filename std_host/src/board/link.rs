use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    str::FromStr,
    time::Duration,
};

use serial2::SerialPort;

/// Carries bytes to a board and back.
pub trait Link: Send {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// Whatever keeps them from being sent.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits for bytes, for `time` at most, and gives how many of them are in `buffer`: 0 where the other end is gone,
    /// `None` where nothing came.
    ///
    /// # Errors
    /// Whatever else keeps them from coming.
    fn receive(&mut self, buffer: &mut [u8], time: Duration) -> io::Result<Option<usize>>;
}

/// Where a board is: `/dev/ttyACM0` or another serial device, `unix:PATH`, `tcp:HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Port {
    /// A serial device.
    Serial(String),
    /// A Unix socket.
    Unix(String),
    /// A host and its port.
    Tcp(String),
}

/// Why a port was not opened.
#[derive(Debug, thiserror::Error)]
#[error("{port}: {source}{hint}")]
pub struct OpenPortError {
    port: String,
    source: io::Error,
    hint: String,
}

/// How long a connection may take, and how long the other end may take none of what is sent.
const PATIENCE: Duration = Duration::from_secs(5);

impl Port {
    /// Opens it; a serial device with so many bits a second, and 8 bits, no parity, 1 stop bit.
    ///
    /// # Errors
    /// [`OpenPortError`] says why not.
    pub fn open(&self, baud: u32) -> Result<Box<dyn Link>, OpenPortError> {
        let opened: io::Result<Box<dyn Link>> = match self {
            Self::Serial(path) => serial(path, baud),
            Self::Unix(path) => unix(path),
            Self::Tcp(address) => tcp(address),
        };
        opened.map_err(|source| OpenPortError { port: self.to_string(), source, hint: self.hint() })
    }

    /// What else to try.
    fn hint(&self) -> String {
        if !matches!(self, Self::Serial(_)) {
            return "; is the board, or its emulator, running?".to_owned();
        }
        let ports = SerialPort::available_ports().unwrap_or_default();
        let names: Vec<String> = ports.iter().map(|path| path.display().to_string()).collect();
        match names.as_slice() {
            [] => "; there is no serial device on this machine".to_owned(),
            names => format!("; the serial devices are {}", names.join(", ")),
        }
    }
}

fn serial(path: &str, baud: u32) -> io::Result<Box<dyn Link>> {
    let mut port = SerialPort::open(path, baud)?;
    port.set_write_timeout(PATIENCE)?;
    Ok(Box::new(Stream(port)))
}

#[cfg(unix)]
fn unix(path: &str) -> io::Result<Box<dyn Link>> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Box::new(Stream(stream)))
}

#[cfg(not(unix))]
fn unix(_path: &str) -> io::Result<Box<dyn Link>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

fn tcp(address: &str) -> io::Result<Box<dyn Link>> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_write_timeout(Some(PATIENCE))?;
                // A line is an answer to the one before.
                stream.set_nodelay(true)?;
                return Ok(Box::new(Stream(stream)));
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

const HOW: &str = "a port is a serial device such as /dev/ttyACM0, unix:PATH, or tcp:HOST:PORT";

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.to_owned())),
            Some(("tcp", address)) if address.contains(':') => Ok(Self::Tcp(address.to_owned())),
            Some(("unix" | "tcp", _)) => Err(HOW.to_owned()),
            _ if text.is_empty() => Err(HOW.to_owned()),
            _ => Ok(Self::Serial(text.to_owned())),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(path) => f.write_str(path),
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// What reads with a timeout.
struct Stream<S>(S);

trait Timed: Read + Write + Send {
    fn set_time(&mut self, time: Duration) -> io::Result<()>;
}

impl Timed for SerialPort {
    fn set_time(&mut self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(time)
    }
}

impl Timed for TcpStream {
    fn set_time(&mut self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

#[cfg(unix)]
impl Timed for std::os::unix::net::UnixStream {
    fn set_time(&mut self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl<S: Timed> Link for Stream<S> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    fn receive(&mut self, buffer: &mut [u8], time: Duration) -> io::Result<Option<usize>> {
        // None at all would be no limit.
        self.0.set_time(time.max(Duration::from_millis(1)))?;
        match self.0.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_they_are_written() {
        for text in [
            "/dev/ttyACM0",
            "COM3",
            "unix:/tmp/a b",
            "tcp:localhost:4000",
            "tcp:[::1]:4000",
            "/dev/serial/by-id/usb:1",
        ] {
            assert_eq!(text.parse::<Port>().map(|port| port.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "unix:", "tcp:localhost", "tcp:"] {
            assert!(text.parse::<Port>().is_err(), "{text}");
        }
    }
}
