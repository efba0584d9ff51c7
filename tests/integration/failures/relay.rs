//! Stands between the agent and a real Elasticsearch: ends TLS, is a proxy that wants a password, cuts an answer off.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use ethmon::tasks::Tasks;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Ends with its owner.
pub(super) struct Relay {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    _tasks: Tasks,
}

struct Shared {
    role: Role,
    /// Swallow the answer to the next bulk request and hold back all requests after it.
    cut_next: AtomicBool,
    held: watch::Sender<bool>,
    connections: AtomicUsize,
    key: Mutex<Option<String>>,
}

pub(super) enum Role {
    /// Passes bytes on to this server.
    Plain(Url),
    /// Ends TLS before it does so.
    Tls(Url, Arc<rustls::ServerConfig>),
    /// Passes on the requests that carry the API key of [`Relay::accept_key`], and says of any other that it has expired.
    Keys(Url),
    /// `CONNECT` for whoever sends this `Proxy-Authorization`.
    Proxy(&'static str),
}

impl Relay {
    pub(super) async fn start(role: Role) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = match role {
            Role::Tls(..) => "https",
            _ => "http",
        };
        let shared = Arc::new(Shared {
            role,
            cut_next: AtomicBool::new(false),
            held: watch::Sender::new(false),
            connections: AtomicUsize::new(0),
            key: Mutex::default(),
        });
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("relay", serve(listener, Arc::clone(&shared)));
        Self {
            address,
            scheme,
            shared,
            _tasks: tasks,
        }
    }

    pub(super) fn url(&self) -> Url {
        format!("{}://{}", self.scheme, self.address)
            .parse()
            .unwrap()
    }

    /// The answer to the next bulk request never comes, nor does any other request go on until [`Relay::release`].
    pub(super) fn cut_next_answer(&self) {
        self.shared.cut_next.store(true, SeqCst);
    }

    pub(super) fn accept_key(&self, key: &str) {
        *self.shared.key.lock().unwrap() = Some(format!("authorization: ApiKey {key}\r\n"));
    }

    pub(super) fn has_cut(&self) -> bool {
        *self.shared.held.borrow()
    }

    pub(super) fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Connections that were let in.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }
}

/// As Elasticsearch says it.
const EXPIRED: &str = concat!(
    "HTTP/1.1 401 Unauthorized\r\nx-elastic-product: Elasticsearch\r\nconnection: close\r\n",
    "www-authenticate: ApiKey\r\ncontent-type: application/json\r\ncontent-length: 233\r\n\r\n",
    r#"{"error":{"type":"security_exception","reason":"unable to authenticate with provided credentials and anonymous access "#,
    r#"is not allowed for this request","additional_unsuccessful_credentials":"API key: api key is expired"},"status":401}"#,
);

impl Shared {
    /// Whether these bytes begin a request without the right key.
    fn refuses(&self, request: &[u8]) -> bool {
        let begins = [&b"GET /"[..], b"POST /", b"PUT /"];
        let key = self.key.lock().unwrap();
        begins.iter().any(|method| request.starts_with(method))
            && key
                .as_ref()
                .is_some_and(|key| memchr::memmem::find(request, key.as_bytes()).is_none())
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut open: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let shared = Arc::clone(&shared);
                // What goes wrong on one connection is what the tests are about.
                open.push(Box::pin(async move { connection(stream, &shared).await.unwrap_or_default() }));
            }
            Some(()) = open.next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    match &shared.role {
        Role::Plain(server) | Role::Keys(server) => pass(stream, server, shared).await,
        Role::Tls(server, config) => {
            let acceptor = TlsAcceptor::from(Arc::clone(config));
            pass(acceptor.accept(stream).await?, server, shared).await
        }
        Role::Proxy(wanted) => tunnel(stream, wanted, shared).await,
    }
}

async fn pass(
    client: impl AsyncRead + AsyncWrite,
    server: &Url,
    shared: &Shared,
) -> anyhow::Result<()> {
    shared.connections.fetch_add(1, SeqCst);
    let address = server.socket_addrs(|| None)?;
    let mut server = TcpStream::connect(&address[..]).await?;
    let (mut from_server, mut to_server) = server.split();
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut request, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut is_cut = false;
    let mut held = shared.held.subscribe();
    loop {
        tokio::select! {
            read = from_client.read(&mut request) => {
                let read = read?;
                anyhow::ensure!(read > 0, "the client is gone");
                if !is_cut {
                    held.wait_for(|held| !held).await?;
                }
                // A request begins with a read of its own: there is one at a time.
                if request[..read].starts_with(b"POST /_bulk") {
                    is_cut |= shared.cut_next.swap(false, SeqCst);
                }
                if shared.refuses(&request[..read]) {
                    to_client.write_all(EXPIRED.as_bytes()).await?;
                    to_client.flush().await?;
                    return Ok(());
                }
                to_server.write_all(&request[..read]).await?;
            }
            read = from_server.read(&mut answer) => {
                let read = read?;
                anyhow::ensure!(read > 0, "the server is gone");
                if is_cut {
                    shared.held.send_replace(true);
                    return Ok(());
                }
                to_client.write_all(&answer[..read]).await?;
                to_client.flush().await?;
            }
        }
    }
}

async fn tunnel(mut client: TcpStream, wanted: &str, shared: &Shared) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    if !head.to_lowercase().contains(&wanted.to_lowercase()) || !head.starts_with("CONNECT ") {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        return Ok(client.write_all(refusal).await?);
    }
    shared.connections.fetch_add(1, SeqCst);
    let mut server = TcpStream::connect(target).await?;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
