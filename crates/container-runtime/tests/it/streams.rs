//! Exec with its streams: synchronous, with a time limit, and over a streaming connection with a terminal.

use std::path::PathBuf;

use cri_api::v1;
use supervision::wait_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::machine::{LIMIT, Machine, Pod};

#[tokio::test]
async fn exec_sync_returns_streams_and_code() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("exec").await;
    let mut config = Pod::script("target", "sleep 1000");
    config.working_dir = "/tmp".to_owned();
    config.envs = vec![v1::KeyValue {
        key: "COLOUR".to_owned(),
        value: b"blue".to_vec(),
    }];
    let id = pod.run(&mut machine, config).await;
    let facts = "echo $COLOUR $(pwd) $(hostname); echo err >&2; exit 5";
    assert_eq!(
        machine.exec(&id, facts).await,
        (5, "blue /tmp exec\n".to_owned(), "err\n".to_owned())
    );
    assert_eq!(machine.exec(&id, "kill -9 $$").await.0, 137);
    // A child in the background holds the streams and does not hold the answer.
    assert_eq!(machine.exec(&id, "sleep 1000 & echo started").await.1, "started\n");

    let cmd = ["sleep", "1000"].map(str::to_owned).to_vec();
    let late = machine
        .client
        .exec_sync(v1::ExecSyncRequest {
            container_id: id.clone(),
            cmd,
            timeout: 1,
        })
        .await
        .unwrap_err();
    assert_eq!(late.code(), tonic::Code::DeadlineExceeded, "{late}");
    let cmd = vec!["nothing-like-this".to_owned()];
    let missing = machine
        .client
        .exec_sync(v1::ExecSyncRequest {
            container_id: id.clone(),
            cmd,
            timeout: 1,
        })
        .await
        .unwrap_err();
    assert!(
        missing.message().contains("executable file not found in $PATH"),
        "{missing}"
    );
    machine
        .client
        .stop_container(v1::StopContainerRequest {
            container_id: id.clone(),
            timeout: 0,
        })
        .await
        .unwrap();
    let ended = machine
        .client
        .exec_sync(v1::ExecSyncRequest {
            container_id: id,
            cmd: vec!["true".to_owned()],
            timeout: 1,
        })
        .await
        .unwrap_err();
    assert_eq!(ended.code(), tonic::Code::FailedPrecondition, "{ended}");
}

/// A minimal WebSocket client of the v4 channel protocol.
struct Channels(UnixStream);

impl Channels {
    /// The socket is on the machine's own file system.
    async fn open(machine: &Machine, url: &str) -> Self {
        let (socket, path) = url.strip_prefix("unix://").unwrap().rsplit_once(":/").unwrap();
        let mut stream = UnixStream::connect(PathBuf::from(format!("/proc/{}/root{socket}", machine.processes()[0])))
            .await
            .unwrap();
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Self(stream)
    }

    /// One masked binary frame.
    async fn send(&mut self, channel: u8, bytes: &[u8]) {
        let length = u8::try_from(bytes.len() + 1).unwrap();
        assert!(length < 126);
        let mut frame = vec![0x82, 0x80 | length, 0, 0, 0, 0, channel];
        frame.extend_from_slice(bytes);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Reads until a channel has said `text`; returns all it said.
    async fn read_until(&mut self, channel: u8, text: &str) -> String {
        let mut said = Vec::new();
        let reading = async {
            while !String::from_utf8_lossy(&said).contains(text) {
                let kind = self.0.read_u8().await.unwrap();
                let mut length = u64::from(self.0.read_u8().await.unwrap());
                if length == 126 {
                    length = u64::from(self.0.read_u16().await.unwrap());
                }
                let mut payload = vec![0; usize::try_from(length).unwrap()];
                self.0.read_exact(&mut payload).await.unwrap();
                if kind & 0x0f == 2 && payload.first() == Some(&channel) {
                    said.extend_from_slice(&payload[1..]);
                }
            }
        };
        let timely = tokio::time::timeout(LIMIT, reading).await;
        assert!(
            timely.is_ok(),
            "{text:?} did not come: {:?}",
            String::from_utf8_lossy(&said)
        );
        String::from_utf8_lossy(&said).into_owned()
    }
}

#[tokio::test]
async fn a_terminal_follows_its_window_and_an_attach_its_container() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("tty").await;
    let mut config = Pod::script("echoes", "while read line; do echo got $line; done; exit 11");
    config.stdin = true;
    config.stdin_once = true;
    let id = pod.run(&mut machine, config).await;

    let cmd = vec!["sh".to_owned()];
    let request = v1::ExecRequest {
        container_id: id.clone(),
        cmd,
        tty: true,
        stdin: true,
        stdout: true,
        stderr: false,
    };
    let url = machine.client.exec(request).await.unwrap().into_inner().url;
    let mut channels = Channels::open(&machine, &url).await;
    channels.send(4, br#"{"Width":91,"Height":17}"#).await;
    channels.send(0, b"test -t 0 && echo yes-a-ter''minal\n").await;
    channels.read_until(1, "yes-a-terminal").await;
    let mut size = String::new();
    while !size.contains("17 91") {
        channels.send(0, b"stty size; echo do''ne\n").await;
        size = channels.read_until(1, "done").await;
    }
    channels.send(0, b"exit 3\n").await;
    let outcome = channels.read_until(3, "}").await;
    assert!(
        outcome.contains("NonZeroExitCode") && outcome.contains("\"3\""),
        "{outcome}"
    );

    let request = v1::AttachRequest {
        container_id: id.clone(),
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    };
    let url = machine.client.attach(request).await.unwrap().into_inner().url;
    let mut channels = Channels::open(&machine, &url).await;
    channels.send(0, b"hello\n").await;
    channels.read_until(1, "got hello").await;
    drop(channels);
    // stdin_once: the program reads the end of its input when the first client leaves.
    assert_eq!(machine.wait_exited(&id).await.exit_code, 11);
    assert_eq!(pod.log("echoes"), "stdout F got hello\n");
}

#[tokio::test]
async fn a_container_with_a_terminal_logs_what_it_shows() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("console").await;
    let mut config = Pod::script(
        "console",
        "test -t 1 && echo terminal $TERM; test -c /dev/console && echo console",
    );
    config.tty = true;
    let (status, log) = pod.script_to_end(&mut machine, config).await;
    assert_eq!(
        (status.exit_code, log.as_str()),
        (0, "stdout F terminal xterm\r\nstdout F console\r\n")
    );
}

#[tokio::test]
async fn a_rotated_log_goes_on_in_a_new_file() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("rotate").await;
    let id = pod
        .run(
            &mut machine,
            Pod::script("talks", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"),
        )
        .await;
    let path = PathBuf::from(&pod.config.log_directory).join("talks/0.log");
    wait_until("it talks", LIMIT, || async {
        if pod.log("talks").contains("line 3") {
            Ok(())
        } else {
            Err("silent")
        }
    })
    .await
    .unwrap();
    std::fs::rename(&path, path.with_extension("old")).unwrap();
    machine
        .client
        .reopen_container_log(v1::ReopenContainerLogRequest { container_id: id })
        .await
        .unwrap();
    wait_until("it talks in the new file", LIMIT, || async {
        if pod.log("talks").contains("stdout F line") {
            Ok(())
        } else {
            Err("silent")
        }
    })
    .await
    .unwrap();
    let old = std::fs::read_to_string(path.with_extension("old")).unwrap();
    let last: u32 = old.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(
        pod.log("talks").starts_with(&format!("stdout F line {}\n", last + 1)),
        "nothing is lost between the files"
    );
}

#[tokio::test]
async fn whoever_is_attached_reads_everything_after_the_end() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("much").await;
    let mut config = Pod::script("much", "read line; head -c 300000 /dev/zero | tr '\\0' x; echo the-end");
    config.stdin = true;
    let id = pod.run(&mut machine, config).await;
    let request = v1::AttachRequest {
        container_id: id.clone(),
        stdin: true,
        stdout: true,
        stderr: false,
        tty: false,
    };
    let url = machine.client.attach(request).await.unwrap().into_inner().url;
    let mut channels = Channels::open(&machine, &url).await;
    channels.send(0, b"go\n").await;
    let said = channels.read_until(1, "the-end\n").await;
    assert_eq!(said.len(), 300_000 + "the-end\n".len());
    assert_eq!(machine.wait_exited(&id).await.exit_code, 0);
}

#[tokio::test]
async fn ports_of_a_pod_are_forwarded_from_its_loopback() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("ports").await;
    let id = pod
        .run(
            &mut machine,
            Pod::script("serves", "echo hello-from-pod | nc -l -p 7777"),
        )
        .await;
    let listening = "cat /proc/net/tcp /proc/net/tcp6 | grep -c :1E61";
    while machine.exec(&id, listening).await.1 != "1\n" {}
    let request = v1::PortForwardRequest {
        pod_sandbox_id: pod.id.clone(),
        port: vec![7777],
    };
    let url = machine.client.port_forward(request).await.unwrap().into_inner().url;
    let mut channels = Channels::open(&machine, &url).await;
    channels.read_until(0, "hello-from-pod").await;
}
