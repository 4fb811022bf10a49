//! Who may ask a service on loopback. Any web page that a browser of this machine shows can send requests there, and give a
//! name of its own this machine's address: so a request must name the service as this machine does, and come from the service's
//! own origin, or from one that is configured.
//!
//! | a request with | is |
//! |---|---|
//! | no `Host`, several, or one that is neither a loopback name with this port nor configured | refused |
//! | an `Origin` that is neither of those, several, or `null` | refused |
//! | no `Origin`, but a method that writes and `Sec-Fetch-Site: cross-site` or `same-site` | refused |
//! | anything else, as of a program that sends no `Origin` | let through |
//!
//! Elsewhere a gateway or a load balancer stands before a service, and it is for them to say who may ask.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};

use crate::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const HTTP: &str = "http://";

/// Origins that may ask a service on loopback beside its own, as `http://localhost:3000`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl FromStr for Origins {
    type Err = ();

    /// Several are separated by commas.
    fn from_str(text: &str) -> Result<Self, ()> {
        let one = |origin: &str| {
            let origin = origin.trim().to_ascii_lowercase();
            let authority = origin.strip_prefix(HTTP).or_else(|| origin.strip_prefix("https://")).ok_or(())?;
            let authority: Authority = authority.parse().map_err(|_| ())?;
            if authority.as_str().contains('@') { Err(()) } else { Ok(origin) }
        };
        text.split(',')
            .filter(|origin| !origin.trim().is_empty())
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// What a service on loopback answers to.
struct Own {
    port: u16,
    origins: Origins,
}

/// The router for a service that listens on this port of loopback.
pub(crate) fn guarded(router: Router, port: u16, origins: Origins) -> Router {
    router.layer(from_fn_with_state(Arc::new(Own { port, origins }), guard))
}

async fn guard(State(own): State<Arc<Own>>, request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(Authority::as_str);
    match own.allows(request.method(), authority, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(rule) => {
            tracing::warn!(method = %request.method(), rule, "refused a request from another place");
            let detail = format!("{rule}; HEADWATER_ORIGINS allows others");
            Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "the request comes from another place")
                .with_detail(detail)
                .at(request.uri().path())
                .into_response()
        }
    }
}

impl Own {
    /// Whether a request may be answered; else the rule that it breaks.
    fn allows(
        &self,
        method: &Method,
        authority: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<(), &'static str> {
        let host = match authority {
            Some(authority) => Some(authority),
            None => only(headers, &header::HOST)?,
        };
        if !host.is_some_and(|host| self.is_ours(host)) {
            return Err("Host must be a name of loopback with the service's port");
        }
        if let Some(origin) = only(headers, &header::ORIGIN)? {
            let origin = origin.to_ascii_lowercase();
            let own = origin.strip_prefix(HTTP).is_some_and(|host| self.is_loopback(host));
            let allowed = own || self.origins.0.contains(&origin);
            return if allowed { Ok(()) } else { Err("Origin must be the service's own") };
        }
        let reads = [Method::GET, Method::HEAD].contains(method);
        match headers.get(&SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            // A link: the page that has it does not see the answer.
            Some(_) if reads => Ok(()),
            Some(_) => Err("Sec-Fetch-Site must be same-origin where there is no Origin"),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let configured =
            |origin: &String| origin.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host));
        self.is_loopback(host) || self.origins.0.iter().any(configured)
    }

    /// Whether it is a name of loopback with our port.
    fn is_loopback(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let loopback =
            name == "localhost" || name.ends_with(".localhost") || address.is_ok_and(|ip| ip.is_loopback());
        loopback && !host.contains('@') && authority.port_u16().unwrap_or(80) == self.port
    }
}

/// The one value of a header, if there is one, as text; a problem where there are several, or it is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let value =
        values.next().map(|value| value.to_str().map_err(|_| "Host and Origin must be text")).transpose()?;
    if values.next().is_some() { Err("Host and Origin must come once") } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, headers: &[(HeaderName, &'static str)], origins: &str) -> bool {
        let own = Own { port: 8080, origins: origins.parse().expect("origins") };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        own.allows(method, None, &map).is_err()
    }

    #[test]
    fn only_names_of_loopback_with_the_port_are_ours() {
        for (host, right) in [
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("LOCALHOST:8080", true),
            ("bank.localhost:8080", true),
            ("[::1]:8080", true),
            ("127.8.9.1:8080", true),
            ("localhost", false),
            ("localhost:8081", false),
            ("evil.example:8080", false),
            ("localhost.evil.example:8080", false),
            ("127.0.0.1.evil.example:8080", false),
            ("user@localhost:8080", false),
            ("10.0.0.1:8080", false),
            ("0.0.0.0:8080", false),
            ("", false),
        ] {
            assert_eq!(!refused(&Method::POST, &[(header::HOST, host)], ""), right, "{host}");
        }
        assert!(refused(&Method::POST, &[], ""), "no Host");
        let twice = [(header::HOST, "localhost:8080"), (header::HOST, "localhost:8080")];
        assert!(refused(&Method::POST, &twice, ""), "two Hosts");
    }

    #[test]
    fn only_its_own_origin_and_those_that_are_configured_may_ask() {
        for (origin, right) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.1:8080", true),
            ("http://LocalHost:8080", true),
            ("http://tool.example:3000", true),
            ("https://localhost:8080", false),
            ("http://localhost:3000", false),
            ("http://evil.example", false),
            ("http://tool.example:3000.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            for method in [Method::POST, Method::GET] {
                let headers = [(header::HOST, "localhost:8080"), (header::ORIGIN, origin)];
                let refused = refused(&method, &headers, "http://tool.example:3000, https://other.example");
                assert_eq!(!refused, right, "{method} {origin}");
            }
        }
    }

    #[test]
    fn a_page_that_sends_no_origin_may_not_write() {
        for (site, method, right) in [
            ("cross-site", Method::POST, false),
            ("same-site", Method::DELETE, false),
            ("what", Method::POST, false),
            ("same-origin", Method::POST, true),
            ("none", Method::POST, true),
            ("cross-site", Method::GET, true),
        ] {
            let headers = [(header::HOST, "localhost:8080"), (SEC_FETCH_SITE, site)];
            assert_eq!(!refused(&method, &headers, ""), right, "{site} {method}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        for wrong in ["localhost:3000", "http://", "http://a/b", "ftp://a", "http://a@b"] {
            assert_eq!(wrong.parse::<Origins>(), Err(()), "{wrong}");
        }
        assert_eq!("".parse(), Ok(Origins::default()));
    }
}
