//! A minimal client of each framing, for the tests.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use supervision::Supervisor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::codec::FramedRead;

use crate::ProxyBody;
use crate::spdy::frame::{self, Frame, FrameDecoder, HeaderCodec, Headers};

pub trait Handler: Fn(Request<Incoming>) -> BoxFuture<'static, Response<ProxyBody>> + Send + Sync + 'static {}
impl<F: Fn(Request<Incoming>) -> BoxFuture<'static, Response<ProxyBody>> + Send + Sync + 'static> Handler for F {}

pub fn boxed(response: Response<crate::ResponseBody>) -> Response<ProxyBody> {
    response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
}

/// Serves one connection with `handler` and returns the client's end of it.
pub fn serve(tasks: &Supervisor, handler: impl Handler) -> DuplexStream {
    let (client, server) = tokio::io::duplex(64 * 1024);
    tasks.spawn("server", async move {
        let service = service_fn(|request| {
            let response = handler(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        connection.with_upgrades().await.unwrap();
    });
    client
}

/// Upgrades a connection to `handler`; answers the response's headers and the raw connection.
pub async fn connect(
    tasks: &Supervisor,
    headers: &[(&'static str, &'static str)],
    handler: impl Handler,
) -> (HeaderMap, TokioIo<Upgraded>) {
    let io = serve(tasks, handler);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    tasks.spawn("client", async move {
        connection.with_upgrades().await.unwrap();
    });
    let mut request = Request::post("/exec")
        .header("host", "node")
        .header("connection", "Upgrade");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender
        .send_request(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers().clone();
    (headers, TokioIo::new(hyper::upgrade::on(response).await.unwrap()))
}

pub async fn websocket(
    tasks: &Supervisor,
    protocol: &'static str,
    handler: impl Handler,
) -> WebSocketStream<TokioIo<Upgraded>> {
    let (headers, io) = connect(
        tasks,
        &[
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", protocol),
        ],
        handler,
    )
    .await;
    assert_eq!(headers["sec-websocket-protocol"], protocol);
    assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    WebSocketStream::from_raw_socket(io, Role::Client, None).await
}

/// A SPDY client over any transport.
pub struct SpdyClient<T> {
    io: T,
    codec: HeaderCodec,
}

impl<T: AsyncRead + AsyncWrite + Unpin> SpdyClient<T> {
    pub fn new(io: T) -> Self {
        Self {
            io,
            codec: HeaderCodec::new().unwrap(),
        }
    }

    pub async fn open(&mut self, id: u32, pairs: &[(&str, &str)]) {
        let headers: Headers = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let block = self.codec.deflate(&headers).unwrap();
        let mut frame = BytesMut::new();
        frame.put_slice(&[0x80, 3, 0, 1, 0]);
        frame.put_uint(10 + block.len() as u64, 3);
        frame.put_u32(id);
        frame.put_slice(&[0; 6]);
        frame.put_slice(&block);
        self.write(&frame).await;
    }

    pub async fn data(&mut self, id: u32, fin: bool, payload: &[u8]) {
        self.write(&frame::data(id, fin, payload)).await;
    }

    async fn write(&mut self, frame: &[u8]) {
        self.io.write_all(frame).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// What came on each stream until the session's end.
    pub async fn read_all(&mut self) -> BTreeMap<u32, String> {
        self.read_until_ended(&[]).await
    }

    /// What came on each stream until all of `streams` have ended.
    pub async fn read_until_ended(&mut self, streams: &[u32]) -> BTreeMap<u32, String> {
        let mut seen: BTreeMap<u32, String> = BTreeMap::new();
        let mut frames = FramedRead::new(&mut self.io, FrameDecoder);
        let mut ended = 0;
        while let Some(frame) = frames.next().await {
            match frame.unwrap() {
                Frame::Data { stream, fin, payload } => {
                    let text = seen.entry(stream).or_default();
                    text.push_str(std::str::from_utf8(&payload).unwrap());
                    if fin {
                        text.push_str("<fin>");
                        ended += 1;
                    }
                }
                Frame::GoAway => return seen,
                _ => {}
            }
            if !streams.is_empty() && ended == streams.len() {
                return seen;
            }
        }
        seen
    }
}
