use super::*;
use crate::config::plan::TlsPlan;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Signed by the authority of `ca.pem` for `apiserver.test` and 127.0.0.1; `other.pem` is another authority.
fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/vips/probe/tests")).join(name)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads the head of a request, and answers with `line`. Returns the request.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &str) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
    stream.shutdown().await?;
    Ok(String::from_utf8_lossy(&head).to_ascii_lowercase())
}

fn http(target: SocketAddr, tls: Option<TlsPlan>) -> HttpPlan {
    HttpPlan { target, tls, path: "/livez".to_owned(), host: "apiserver.test".to_owned(), status: Vec::new() }
}

#[tokio::test]
async fn a_port_that_accepts_is_enough_for_tcp() {
    let (listener, address) = listen().await;
    assert!(run(&ProbePlan::Tcp(address)).await.is_ok());
    drop(listener);
    let refused = run(&ProbePlan::Tcp(address)).await.unwrap_err();
    assert!(refused.contains("refused") && refused.contains(&address.to_string()), "{refused}");
}

#[tokio::test]
async fn the_status_of_the_answer_decides() {
    let (listener, address) = listen().await;
    let cases: [(&str, &[u16], bool); 5] = [
        ("200 OK", &[], true),
        ("204 No Content", &[], true),
        ("401 Unauthorized", &[], false),
        ("401 Unauthorized", &[200, 401], true),
        ("200 OK", &[401], false),
    ];
    for (line, status, good) in cases {
        let plan = ProbePlan::Http(HttpPlan { status: status.to_vec(), ..http(address, None) });
        let served = async { answer(listener.accept().await.unwrap().0, line).await.unwrap() };
        let (result, request) = tokio::join!(run(&plan), served);
        assert_eq!(result.is_ok(), good, "{line} {status:?}: {result:?}");
        assert!(request.starts_with("get /livez http/1.1") && request.contains("host: apiserver.test"), "{request}");
    }
    let closed = async { drop(listener.accept().await) };
    let plan = ProbePlan::Http(http(address, None));
    let (result, ()) = tokio::join!(run(&plan), closed);
    assert!(result.unwrap_err().contains("no answer"));
}

#[tokio::test]
async fn a_server_shows_who_it_is_unless_that_is_skipped() {
    let (listener, address) = listen().await;
    let certificates = CertificateDer::pem_file_iter(file("server.pem")).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = builder.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (ca, other, missing) = (Some(file("ca.pem")), Some(file("other.pem")), Some(file("nothing.pem")));
    let cases = [
        (ca.clone(), "127.0.0.1", None),
        (ca.clone(), "apiserver.test", None),
        (ca, "elsewhere.test", Some("certificate")),
        (other, "127.0.0.1", Some("certificate")),
        (missing, "127.0.0.1", Some("nothing.pem")),
        (Some(file("server.key")), "127.0.0.1", Some("no certificate")),
        (None, "elsewhere.test", None),
    ];
    for (ca, name, failure) in cases {
        let plan = ProbePlan::Http(http(address, Some(TlsPlan { ca, server_name: name.to_owned() })));
        let served = async {
            let stream = listener.accept().await.unwrap().0;
            // Fails where the client does not trust us.
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = answer(stream, "200 OK").await;
            }
        };
        let (result, ()) = tokio::join!(run(&plan), served);
        match failure {
            None => assert!(result.is_ok(), "{result:?}"),
            Some(why) => assert!(result.as_ref().is_err_and(|text| text.contains(why)), "{why}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_program_says_it_with_its_exit_status() {
    let exec = |line: &str| ProbePlan::Exec(line.split(' ').map(str::to_owned).collect());
    assert!(run(&exec("/bin/true")).await.is_ok());
    assert!(run(&exec("/bin/sh -c exit\t3")).await.unwrap_err().contains("exit status: 3"));
    assert!(run(&exec("/nonexistent/check")).await.unwrap_err().contains("/nonexistent/check"));
}
