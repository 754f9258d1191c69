//! A key whose look failed comes again; one that was looked at does not.

use std::sync::Mutex;
use std::time::Duration;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("not yet")]
struct NotYet;

#[derive(Default)]
struct ThirdTime {
    queue: WorkQueue<String>,
    seen: Mutex<Vec<String>>,
}

impl Looks for ThirdTime {
    type Key = String;
    type Error = NotYet;

    fn queue(&self) -> &WorkQueue<String> {
        &self.queue
    }

    async fn look(&self, key: &String) -> Result<(), NotYet> {
        let mut seen = self.seen.lock().unwrap();
        seen.push(key.clone());
        let times = seen.iter().filter(|known| *known == key).count();
        if key == "slow" && times < 3 {
            Err(NotYet)
        } else {
            Ok(())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_is_repeated_until_it_succeeds() {
    let supervisor = Supervisor::new("test");
    let looks = Arc::new(ThirdTime::default());
    looks.queue.add("slow".to_owned());
    looks.queue.add("quick".to_owned());
    start_workers(&looks, 2, &supervisor);
    let all_looked = || async {
        let seen = looks.seen.lock().unwrap().clone();
        if seen.len() == 4 && looks.queue.is_empty() {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    };
    supervision::wait_until("four looks", Duration::from_secs(60), all_looked)
        .await
        .unwrap();
    let mut seen = looks.seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["quick", "slow", "slow", "slow"]);
}
