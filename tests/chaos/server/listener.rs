//! A port that can be closed and opened again, as when a server stops and starts.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

pub(super) struct Listener {
    address: SocketAddr,
    door: Arc<Door>,
}

#[derive(Default)]
struct Door {
    state: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Default)]
struct Inside {
    is_closed: bool,
    has_ended: bool,
    connections: Vec<TcpStream>,
}

impl Listener {
    /// Serves each connection in a thread of its own.
    pub(super) fn start(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let door = Arc::new(Door::default());
        let inside = Arc::clone(&door);
        thread::spawn(move || accept(listener, address, &inside, &serve));
        Self { address, door }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn close(&self) {
        let mut inside = self.door.state.lock().unwrap();
        inside.is_closed = true;
        inside.cut_connections();
        drop(inside);
        self.wake();
    }

    pub(super) fn open(&self) {
        self.door.state.lock().unwrap().is_closed = false;
        self.door.changed.notify_all();
    }

    /// The thread waits for a connection and would not notice otherwise. Where the port is closed, it does already.
    fn wake(&self) {
        TcpStream::connect(self.address).ok();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut inside = self.door.state.lock().unwrap();
        inside.has_ended = true;
        inside.cut_connections();
        drop(inside);
        self.door.changed.notify_all();
        self.wake();
    }
}

impl Inside {
    fn cut_connections(&mut self) {
        for connection in self.connections.drain(..) {
            // It may have ended by itself.
            connection.shutdown(Shutdown::Both).ok();
        }
    }
}

fn accept(
    mut listener: TcpListener,
    address: SocketAddr,
    door: &Door,
    serve: &(impl Fn(TcpStream) + Clone + Send + 'static),
) {
    loop {
        let accepted = listener.accept();
        let mut inside = door.state.lock().unwrap();
        if inside.has_ended {
            return;
        }
        if inside.is_closed {
            drop((accepted, listener));
            let inside = door
                .changed
                .wait_while(inside, |inside| inside.is_closed && !inside.has_ended)
                .unwrap();
            if inside.has_ended {
                return;
            }
            drop(inside);
            listener = bind_again(address).unwrap();
            continue;
        }
        let Ok((stream, _)) = accepted else { continue };
        inside.connections.extend(stream.try_clone());
        drop(inside);
        let serve = serve.clone();
        thread::spawn(move || serve(stream));
    }
}

/// Meanwhile the port may have been lent to an outgoing connection of somebody else.
fn bind_again(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 0..600 {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
    TcpListener::bind(address)
}
