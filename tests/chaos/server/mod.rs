//! An Elasticsearch on loopback that judges exactly and fails as its seeded dice say.

pub(crate) mod cluster;
pub(crate) mod fault;
pub(crate) mod http;
mod listener;
mod serve;
mod wrong;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::cluster::Cluster;
use self::fault::Weather;
use self::listener::Listener;

/// One cluster behind one or more addresses.
pub(crate) struct Server {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How long a client waits for an answer.
    patience: Duration,
}

struct State {
    cluster: Cluster,
    dice: StdRng,
    weather: Weather,
    /// Of a request before compression, above which the answer is 413.
    max_body_bytes: usize,
    /// Items with such a document are refused for ever.
    poison: Option<String>,
    holding: Holding,
    bulks: u64,
    tally: BTreeMap<&'static str, u64>,
}

/// The answer to one request is held back until the test allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    No,
    Next,
    Held,
}

impl Server {
    /// `patience`: how long a client waits for an answer.
    pub(crate) fn start(seed: u64, addresses: usize, patience: Duration) -> Self {
        let state = State {
            cluster: Cluster::default(),
            dice: StdRng::seed_from_u64(seed),
            weather: Weather::default(),
            max_body_bytes: 100 << 20,
            poison: None,
            holding: Holding::No,
            bulks: 0,
            tally: BTreeMap::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            patience,
        });
        let listeners = (0..addresses)
            .map(|_| {
                let shared = Arc::clone(&shared);
                Listener::start(move |stream| serve::serve(stream, &shared))
            })
            .collect();
        Self { shared, listeners }
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::address).collect()
    }

    pub(crate) fn set_max_body_bytes(&self, bytes: usize) {
        self.state(|state| state.max_body_bytes = bytes);
    }

    /// Documents that hold this text are refused as if they did not fit the mapping.
    pub(crate) fn set_poison(&self, text: &str) {
        self.state(|state| state.poison = Some(text.to_owned()));
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state(|state| state.weather = weather);
    }

    /// Refuses connections at an address and ends those there are.
    pub(crate) fn go_down(&self, address: usize) {
        self.listeners[address].close();
    }

    pub(crate) fn come_up(&self, address: usize) {
        self.listeners[address].open();
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Cluster) -> T) -> T {
        self.state(|state| look(&mut state.cluster))
    }

    /// Bulk requests that were read, and faults by name.
    pub(crate) fn tally(&self) -> (u64, BTreeMap<&'static str, u64>) {
        self.state(|state| (state.bulks, state.tally.clone()))
    }

    /// Whether it came true within the limit.
    pub(crate) fn wait(&self, limit: Duration, is_met: impl Fn(&Cluster) -> bool) -> bool {
        self.wait_state(limit, |state| is_met(&state.cluster))
    }

    /// Stores the next request and holds its answer back; whether such a request came within the limit.
    pub(crate) fn hold_next_answer(&self, limit: Duration) -> bool {
        self.state(|state| state.holding = Holding::Next);
        self.wait_state(limit, |state| state.holding == Holding::Held)
    }

    pub(crate) fn let_answer_go(&self) {
        self.state(|state| state.holding = Holding::No);
        self.shared.changed.notify_all();
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared.state.lock().unwrap())
    }

    fn wait_state(&self, limit: Duration, is_met: impl Fn(&State) -> bool) -> bool {
        let state = self.shared.state.lock().unwrap();
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |state| !is_met(state))
            .unwrap();
        !waited.timed_out()
    }
}
