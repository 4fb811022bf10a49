//! Connections over real sockets: half-sent heads, many callers, and the end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{HEAD, Limits, serve_until};

/// The longest that anything here may take; less than what a head is given.
const SOON: Duration = Duration::from_secs(5);
const HALF: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n";

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(serve_until(listener, router, limits, async move {
            let _ = stopped.await;
        }));
        Self { address, stop, ended }
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut caller = TcpStream::connect(self.address).await.expect("connects");
        caller.write_all(bytes).await.expect("sends");
        caller
    }

    async fn ask(&self) -> String {
        answer(self.send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await).await
    }

    /// Stops it; tells how long that took.
    async fn stop(self) -> Duration {
        let begin = Instant::now();
        self.stop.send(()).expect("the server runs");
        timeout(SOON, self.ended).await.expect("it stops soon").expect("no panic");
        begin.elapsed()
    }
}

/// All that comes until the server closes the connection.
async fn answer(mut caller: TcpStream) -> String {
    let mut answer = String::new();
    timeout(2 * HEAD, caller.read_to_string(&mut answer)).await.expect("it is closed").expect("text");
    answer
}

fn done() -> Router {
    Router::new().route("/", get(async || "done"))
}

#[tokio::test]
async fn half_sent_requests_leave_room_again() {
    let limits = Limits { connections: 3, head: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(done(), limits).await;
    let mut half = Vec::new();
    for _ in 0..3 {
        half.push(server.send(HALF).await);
    }
    let answered = timeout(SOON, server.ask()).await.expect("there is room soon");
    assert!(answered.ends_with("done"), "{answered}");
    for caller in half {
        assert_eq!(answer(caller).await, "", "it is closed");
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_no_longer() {
    let limits = Limits { head: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(done(), limits).await;
    let mut caller = server.send(HALF).await;
    let dripping = async {
        while caller.write_all(b"a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, dripping).await.expect("it is closed");
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
        move || async move {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            inside.fetch_sub(1, Ordering::SeqCst);
            "done"
        }
    };
    let limits = Limits { connections: 4, ..Limits::default() };
    let server = Server::start(Router::new().route("/", get(handler)), limits).await;
    let answers = futures::future::join_all((0..40).map(|_| server.ask())).await;
    assert!(answers.iter().all(|answer| answer.ends_with("done")), "{answers:?}");
    assert!((1..=4).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[tokio::test]
async fn stopping_waits_for_no_half_sent_request_and_no_idle_connection() {
    let server = Server::start(done(), Limits::default()).await;
    let half = server.send(HALF).await;
    let mut idle = server.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut read = vec![0; 1 << 10];
    assert!(idle.read(&mut read).await.expect("an answer") > 0);
    let took = server.stop().await;
    assert!(took < SOON, "{took:?}");
    assert_eq!(answer(half).await, "");
}

#[tokio::test]
async fn a_request_under_way_finishes_after_the_signal() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.notified().await;
            "done"
        }
    };
    let server = Server::start(Router::new().route("/", get(handler)), Limits::default()).await;
    let address = server.address;
    let caller = server.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;
    let stopping = tokio::spawn(server.stop());
    // It listens no more, and waits for what is under way.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    leave.notify_one();
    let answered = answer(caller).await;
    assert!(answered.ends_with("done"), "{answered}");
    stopping.await.expect("it stops");
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_after_the_grace() {
    let entered = Arc::new(Notify::new());
    let handler = {
        let entered = Arc::clone(&entered);
        move || async move {
            entered.notify_one();
            std::future::pending::<&str>().await
        }
    };
    let limits = Limits { grace: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(Router::new().route("/", get(handler)), limits).await;
    let caller = server.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;
    assert!(server.stop().await >= limits.grace, "it has its time");
    assert_eq!(answer(caller).await, "");
}
