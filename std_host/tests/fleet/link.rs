//! A link between two processes of this machine, which can be cut.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What goes through it stands still while it is cut, and arrives once it is mended. Where it is broken, both ends hear so.
pub(crate) struct Link {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    is_broken: AtomicBool,
    ends: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// One to `127.0.0.1:PORT`, with or without `nats://` before it.
    pub(crate) fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let (target, of) = (url.trim_start_matches("nats://").to_owned(), state.clone());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // Who is refused comes again.
                if of.is_broken.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&target) else { continue };
                let both = [near.try_clone().unwrap(), far.try_clone().unwrap()];
                of.ends.lock().unwrap().extend(both);
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let of = of.clone();
                    thread::spawn(move || pass(from, to, &of.is_cut));
                }
            }
        });
        Self { port, state }
    }

    /// Packets are lost from now on, or no longer.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.state.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// Connections are closed and refused from now on, or no longer.
    pub(crate) fn break_off(&self, is_broken: bool) {
        self.state.is_broken.store(is_broken, Ordering::Relaxed);
        if is_broken {
            for end in self.state.ends.lock().unwrap().drain(..) {
                // It may have ended.
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }

    /// Its near end: `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut bytes = [0; 16 << 10];
    loop {
        match from.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                // As packets that nobody answers: they arrive, or never do.
                while cut.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(10));
                }
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
