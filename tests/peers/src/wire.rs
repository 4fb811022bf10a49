//! A proxy before `PostgreSQL`: it counts statements and bytes.
//!
//! A client's messages are a type, a length and a body; only the first one, which says who connects, has no type. A
//! statement is a simple query or an execution of a prepared one.

use std::sync::{Arc, atomic::Ordering};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use crate::{
    bank::Error,
    proxy::{Counted, Counter},
};

/// A proxy on a port of its own; it ends when it is dropped.
pub(crate) struct Wire {
    port: u16,
    counter: Arc<Counter>,
    accepting: AbortHandle,
}

impl Wire {
    /// A proxy before `upstream`, as `127.0.0.1:5432`.
    pub(crate) async fn start(upstream: String) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let counter = Arc::new(Counter::default());
        let counting = Arc::clone(&counter);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, upstream.clone(), Arc::clone(&counting)));
            }
        });
        Ok(Self { port, counter, accepting: accepting.abort_handle() })
    }

    /// Where it listens, on the loopback address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What went through so far; requests are statements.
    pub(crate) fn counted(&self) -> Counted {
        self.counter.read()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(client: TcpStream, upstream: String, counter: Arc<Counter>) -> std::io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let (mut messages, mut bytes) = (Messages::default(), [0; 16 << 10]);
        loop {
            let read = from_client.read(&mut bytes).await?;
            let Some(chunk) = bytes.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
            counter.up.fetch_add(read as u64, Ordering::Relaxed);
            counter.requests.fetch_add(messages.feed(chunk), Ordering::Relaxed);
            to_server.write_all(chunk).await?;
        }
        to_server.shutdown().await
    };
    let down = async {
        let mut bytes = [0; 16 << 10];
        loop {
            let read = from_server.read(&mut bytes).await?;
            let Some(chunk) = bytes.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
            counter.down.fetch_add(read as u64, Ordering::Relaxed);
            to_client.write_all(chunk).await?;
        }
        to_client.shutdown().await
    };
    tokio::try_join!(up, down)?;
    Ok(())
}

/// Where a client's bytes are in its messages.
#[derive(Debug, Default)]
struct Messages {
    /// The head of the message that begins, as far as it came.
    head: Vec<u8>,
    /// Bytes of the message that are still to come.
    rest: usize,
    /// Whether the message without a type is behind.
    introduced: bool,
}

impl Messages {
    /// How many statements begin in `bytes`.
    fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut statements = 0;
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((byte, more)) = bytes.split_first() else { break };
            self.head.push(*byte);
            bytes = more;
            let kind = usize::from(self.introduced);
            if let Some(&[a, b, c, d]) = self.head.get(kind..) {
                let length = u32::from_be_bytes([a, b, c, d]);
                // The length counts itself.
                self.rest = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(4);
                let statement = self.introduced && matches!(self.head.first(), Some(b'Q' | b'E'));
                statements += u64::from(statement);
                self.introduced = true;
                self.head.clear();
            }
        }
        statements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_wherever_the_bytes_are_cut() {
        let message = |kind: u8, body: &[u8]| {
            let length = u32::try_from(body.len() + 4).expect("short");
            [&[kind], &length.to_be_bytes()[..], body].concat()
        };
        let greeting = [&12_u32.to_be_bytes()[..], b"EEEEQQQQ"].concat();
        let all = [
            greeting,
            message(b'Q', b"BEGIN"),
            message(b'P', b"QEQE"),
            message(b'E', b""),
            message(b'S', b""),
        ]
        .concat();
        for size in 1..all.len() {
            let mut messages = Messages::default();
            let counted: u64 = all.chunks(size).map(|chunk| messages.feed(chunk)).sum();
            assert_eq!(counted, 2, "in chunks of {size}");
        }
    }
}
