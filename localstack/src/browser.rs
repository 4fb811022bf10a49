//! Requests that a web page makes its visitor's browser send: refused, whatever they ask for.
//!
//! A page anywhere can send a form to a port of this machine (`Origin` says which page it was), or let a name of its own point here
//! (`Host` says which name). Neither needs a key here, so both are refused: an `Origin` or a `Host` must be of this machine.

use std::net::IpAddr;

use http::request::Parts;
use http::{Uri, header};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    #[error("a page of another site asks: the Origin is not of this machine")]
    Origin,
    #[error("another name was asked: the Host is not localhost and no loopback address")]
    Host,
}

/// Refuses what a page of another site asks for.
pub(crate) fn check(parts: &Parts) -> Result<(), Foreign> {
    let local = |value: &[u8], origin| std::str::from_utf8(value).is_ok_and(|text| is_local(text, origin));
    if parts.headers.get_all(header::ORIGIN).iter().any(|value| !local(value.as_bytes(), true)) {
        return Err(Foreign::Origin);
    }
    let named = parts.headers.get_all(header::HOST).iter().all(|value| local(value.as_bytes(), false));
    let absolute = parts.uri.authority().is_none_or(|authority| is_local(authority.as_str(), false));
    if named && absolute { Ok(()) } else { Err(Foreign::Host) }
}

/// Whether an origin, as `http://localhost:3000`, or a host, as `127.0.0.1:4566`, is of this machine. The origin `null`, of a page without
/// one, is not.
fn is_local(text: &str, origin: bool) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    if uri.scheme().is_some() != origin || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return false;
    }
    // What stands before an `@` is no part of a host.
    let Some(host) =
        uri.authority().filter(|authority| !authority.as_str().contains('@')).map(http::uri::Authority::host)
    else {
        return false;
    };
    let port = uri.authority().and_then(|authority| authority.as_str().rsplit_once(':'));
    if port.is_some_and(|(_, port)| !port.ends_with(']') && port.parse::<u16>().is_err()) {
        return false;
    }
    let host = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address
        .map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for host in [
            "127.0.0.1:4566",
            "localhost",
            "LOCALHOST:80",
            "[::1]:4566",
            "127.9.9.9",
            "bucket.localhost:4566",
        ] {
            assert!(is_local(host, false), "{host}");
            assert!(is_local(&format!("http://{host}"), true), "{host}");
        }
        for host in [
            "",
            "null",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.1:4566",
            "0.0.0.0:4566",
            "[::]:4566",
            "localhost:x",
        ] {
            assert!(!is_local(host, false), "{host}");
            assert!(!is_local(&format!("https://{host}"), true), "{host}");
        }
        assert!(!is_local("null", true));
    }
}
