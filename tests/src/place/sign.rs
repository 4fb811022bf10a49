//! Who asks, for an API that AWS authorizes: AWS Signature Version 4 for the service `execute-api`.
//!
//! Host, path, query, body and time are signed, and no other header: a proxy may add to those.

use std::sync::Arc;

use aws_sdk_s3::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use headwater::{
    aws::Clients,
    port::{Clock, SystemClock},
};
use reqwest::{
    Request,
    header::{HeaderName, HeaderValue},
};

/// What signs requests.
pub(super) struct Signer {
    credentials: SharedCredentialsProvider,
    region: String,
    clock: Arc<dyn Clock>,
}

impl Signer {
    pub(super) fn new(clients: &Clients) -> Self {
        let (credentials, region) = (clients.credentials().clone(), clients.region().to_owned());
        Self { credentials, region, clock: Arc::new(SystemClock) }
    }

    /// Signs a request as of now.
    #[expect(clippy::expect_used, reason = "a test that cannot ask has failed")]
    pub(super) async fn sign(&self, request: &mut Request) {
        let identity = self.credentials.provide_credentials().await.expect("credentials").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("execute-api")
            .time(self.clock.now().into())
            .settings(SigningSettings::default())
            .build()
            .expect("everything that signs");
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let (method, url) = (request.method().as_str(), request.url().as_str());
        let signable = SignableRequest::new(method, url, [].into_iter(), SignableBody::Bytes(body));
        let signed = sign(signable.expect("a request"), &parameters.into()).expect("a signature");
        let (instructions, _) = signed.into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::try_from(name).expect("a header's name");
            request.headers_mut().insert(name, HeaderValue::try_from(value).expect("a header's value"));
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::Credentials;
    use jiff::Timestamp;
    use reqwest::{Client, Method};

    use super::*;

    struct Fixed(Timestamp);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    async fn signed(session: Option<&str>, method: Method, path: &str, body: &str) -> Request {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, session.map(str::to_owned), None, "a test");
        let signer = Signer {
            credentials: SharedCredentialsProvider::new(credentials),
            region: "eu-central-1".to_owned(),
            clock: Arc::new(Fixed("2026-11-25T19:00:00Z".parse().expect("a time"))),
        };
        let url = format!("https://a1.execute-api.eu-central-1.amazonaws.com{path}");
        let request = Client::new().request(method, url).header("if-match", "\"17\"").body(body.to_owned());
        let mut request = request.build().expect("a request");
        signer.sign(&mut request).await;
        request
    }

    /// What botocore makes of the same requests.
    #[tokio::test]
    async fn a_signature_is_what_others_make_of_the_same_request() {
        let path = "/balance/42?token=account%2F42%4017";
        let read = signed(None, Method::GET, path, "").await;
        assert_eq!(read.headers()["x-amz-date"], "20261125T190000Z");
        assert_eq!(
            read.headers()["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261125/eu-central-1/execute-api/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=c7e607173ca08b99a4c446564cb5b61b1a589e7c42b46f162d8e1e474cc43e11"
        );
        let write = signed(Some("session"), Method::POST, "/accounts/42/credit", r#"{"amount":5}"#).await;
        assert_eq!(write.headers()["x-amz-security-token"], "session");
        assert_eq!(
            write.headers()["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261125/eu-central-1/execute-api/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-security-token, \
             Signature=27d754224ee37777d35a06064aa77de13e389dd41d3966bc0d3d13061c99716b"
        );
    }
}
