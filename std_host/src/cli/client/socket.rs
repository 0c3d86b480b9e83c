//! The API over the socket of a `toehold serve`.

use std::path::Path;

use axum::{
    body::Body,
    http::{Request, Response},
};

use super::NoAnswer;
use crate::cli::problem::Problem;

/// The socket, in the data folder.
pub(crate) const SOCKET_FILE: &str = "toehold.sock";

/// Whether somebody listens at a socket.
#[cfg(unix)]
pub(crate) fn answers(socket: &Path) -> Result<bool, Problem> {
    use std::{io::ErrorKind, os::unix::net::UnixStream};
    match UnixStream::connect(socket) {
        Ok(_) => Ok(true),
        // Nothing there; what a killed server left; a path that no socket can have.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound
                    | ErrorKind::ConnectionRefused
                    | ErrorKind::NotADirectory
                    | ErrorKind::InvalidInput
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(Problem::new("failed", format!("{}: {error}", socket.display()))),
    }
}

/// Without Unix sockets there are no servers to ask.
#[cfg(not(unix))]
pub(crate) fn answers(_socket: &Path) -> Result<bool, Problem> {
    Ok(false)
}

/// Sends a request over a connection of its own.
#[cfg(unix)]
pub(super) async fn send(socket: &Path, request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;

    let stream = tokio::net::UnixStream::connect(socket).await.map_err(|_| NoAnswer::Gone)?;
    log::debug!("{}: {} {}", socket.display(), request.method(), request.uri());
    let broken = |error: hyper::Error| {
        if error.is_incomplete_message() || error.is_canceled() {
            NoAnswer::Gone
        } else {
            NoAnswer::Other(error.to_string())
        }
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(async move {
        // What is wrong with the connection, the request or the body says too.
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok(response.map(Body::new))
}

#[cfg(not(unix))]
pub(super) async fn send(_socket: &Path, _request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
    Err(NoAnswer::Gone)
}
