//! The queues of a priority level: which waiting request runs next, fairly between flows.
//!
//! Fairness is that of upstream's queue sets (`apiserver/pkg/util/flowcontrol/fairqueuing/queueset`): a virtual clock runs
//! at the rate at which seats are served to each active queue; a queue's next request starts no earlier than its last one
//! ended in that time; the queue whose next start is the earliest comes first, and what it took too much or too little of the
//! estimate is set right when a request ends.

use std::collections::{BTreeMap, VecDeque};

use crate::levels::Response;
use crate::shuffle::deal;

/// How long a request is taken to run before it has run, in seconds.
const ESTIMATE: f64 = 0.003;

/// Names a request from its arrival to its end.
pub type Id = u64;

/// What becomes of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It runs.
    Run,
    /// It waits; [`QueueSet::dispatch`] names it when it may run.
    Wait,
    /// It is refused, and why, as metrics name it.
    Reject(&'static str),
}

/// The requests of one priority level.
#[derive(Debug)]
pub struct QueueSet {
    response: Response,
    /// Seats that there are now.
    seats: u32,
    in_use: u32,
    queues: Vec<Queue>,
    /// Where requests are that run or wait: queue, width, and when they began to run.
    requests: BTreeMap<Id, Placed>,
    /// Virtual time, and the real time up to which it has come.
    virtual_time: f64,
    real_time: f64,
    /// The queue after the one that was served last: equals are served in turn.
    turn: usize,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Id>,
    /// Seats that its waiting requests want.
    wanted: u32,
    /// Seats that its running requests have.
    in_use: u32,
    /// Virtual time at which its next request starts.
    next_start: f64,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    /// `None` for one that runs without a queue.
    queue: Option<usize>,
    width: u32,
    began: Option<f64>,
}

impl QueueSet {
    /// Without requests; `now` is a time in seconds.
    pub fn new(response: Response, seats: u32, now: f64) -> Self {
        let queues = match response {
            Response::Reject => 0,
            Response::Queue { queues, .. } => queues,
        };
        Self {
            response,
            seats,
            in_use: 0,
            queues: (0..queues).map(|_| Queue::default()).collect(),
            requests: BTreeMap::new(),
            virtual_time: 0.0,
            real_time: now,
            turn: 0,
            waiting: 0,
        }
    }

    /// A request of a flow arrives.
    pub fn arrive(&mut self, id: Id, flow: u64, width: u32, now: f64) -> Arrival {
        self.advance(now);
        let (hand, length) = match self.response {
            Response::Reject if self.fits(width) => {
                self.begin(id, None, width, now);
                return Arrival::Run;
            }
            Response::Reject => return Arrival::Reject("concurrency-limit"),
            Response::Queue { hand, length, .. } => (hand, length),
        };
        let least = deal(flow, self.queues.len(), hand)
            .into_iter()
            .min_by_key(|index| self.queues[*index].wanted + self.queues[*index].in_use);
        let Some(index) = least else {
            return Arrival::Reject("queue-full");
        };
        if self.queues[index].waiting.len() >= length && !self.fits(width) {
            return Arrival::Reject("queue-full");
        }
        if self.waiting == 0 && self.fits(width) {
            self.start(id, index, width, now);
            return Arrival::Run;
        }
        let queue = &mut self.queues[index];
        if queue.waiting.is_empty() && queue.in_use == 0 {
            // Who was away has saved nothing up.
            queue.next_start = queue.next_start.max(self.virtual_time);
        }
        queue.waiting.push_back(id);
        queue.wanted += width;
        self.waiting += 1;
        let placed = Placed {
            queue: Some(index),
            width,
            began: None,
        };
        self.requests.insert(id, placed);
        Arrival::Wait
    }

    /// The waiting requests that may run now; they do from here on.
    pub fn dispatch(&mut self, now: f64) -> Vec<Id> {
        self.advance(now);
        let mut started = Vec::new();
        while let Some(index) = self.next_queue() {
            let Some(id) = self.queues[index].waiting.front().copied() else {
                break;
            };
            let width = self.requests.get(&id).map_or(1, |placed| placed.width);
            // A wide request is waited for, or narrow ones would pass it by for ever.
            if !self.fits(width) {
                break;
            }
            self.forget_waiting(index, id, width);
            self.start(id, index, width, now);
            self.turn = (index + 1) % self.queues.len();
            started.push(id);
        }
        started
    }

    /// A waiting request gives up. Says whether it was waiting still.
    pub fn cancel(&mut self, id: Id, now: f64) -> bool {
        self.advance(now);
        match self.requests.get(&id).copied() {
            Some(Placed {
                queue: Some(index),
                width,
                began: None,
            }) => {
                self.requests.remove(&id);
                self.forget_waiting(index, id, width);
                true
            }
            _ => false,
        }
    }

    /// A running request ends.
    pub fn finish(&mut self, id: Id, now: f64) {
        self.advance(now);
        let Some(placed) = self.requests.remove(&id) else {
            return;
        };
        let Some(began) = placed.began else { return };
        self.in_use -= placed.width;
        if let Some(index) = placed.queue {
            let queue = &mut self.queues[index];
            queue.in_use -= placed.width;
            queue.next_start += f64::from(placed.width) * ((now - began) - ESTIMATE);
        }
    }

    /// From now on there are so many seats.
    pub fn set_seats(&mut self, seats: u32) {
        self.seats = seats;
    }

    /// Seats that there are.
    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// Seats that running requests have.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Requests that run.
    pub fn running(&self) -> usize {
        self.requests.len() - self.waiting
    }

    /// Seats that are wanted, by running and waiting requests.
    pub fn demand(&self) -> u32 {
        self.in_use + self.queues.iter().map(|queue| queue.wanted).sum::<u32>()
    }

    /// For each queue that is not idle: its number, requests waiting, seats in use and next start.
    pub fn active(&self) -> impl Iterator<Item = (usize, usize, u32, f64)> {
        let all = self.queues.iter().enumerate();
        all.filter(|(_, queue)| !queue.waiting.is_empty() || queue.in_use > 0)
            .map(|(index, queue)| (index, queue.waiting.len(), queue.in_use, queue.next_start))
    }

    /// Requests that have a queue: number of the queue and request, in the order in which they will run.
    pub fn requests(&self) -> impl Iterator<Item = (usize, Id)> {
        let all = self.queues.iter().enumerate();
        all.flat_map(|(index, queue)| queue.waiting.iter().map(move |id| (index, *id)))
    }

    /// One that is wider than all seats runs when it is alone.
    fn fits(&self, width: u32) -> bool {
        self.in_use + width <= self.seats || (self.in_use == 0 && width > self.seats)
    }

    /// Virtual time runs by the seats that are served, divided by the queues that share them.
    fn advance(&mut self, now: f64) {
        let passed = (now - self.real_time).max(0.0);
        self.real_time = self.real_time.max(now);
        let active = self.active().count();
        if active > 0 {
            let served = f64::from(self.demand().min(self.seats));
            self.virtual_time += passed * served / active as f64;
        }
    }

    fn next_queue(&self) -> Option<usize> {
        let count = self.queues.len();
        let in_turn = (0..count).map(|step| (self.turn + step) % count);
        in_turn
            .filter(|index| !self.queues[*index].waiting.is_empty())
            .min_by(|a, b| self.queues[*a].next_start.total_cmp(&self.queues[*b].next_start))
    }

    fn forget_waiting(&mut self, index: usize, id: Id, width: u32) {
        let queue = &mut self.queues[index];
        queue.waiting.retain(|one| *one != id);
        queue.wanted -= width;
        self.waiting -= 1;
    }

    fn start(&mut self, id: Id, index: usize, width: u32, now: f64) {
        let queue = &mut self.queues[index];
        if queue.in_use == 0 && queue.waiting.is_empty() {
            queue.next_start = queue.next_start.max(self.virtual_time);
        }
        queue.next_start += f64::from(width) * ESTIMATE;
        queue.in_use += width;
        self.begin(id, Some(index), width, now);
    }

    fn begin(&mut self, id: Id, queue: Option<usize>, width: u32, now: f64) {
        self.in_use += width;
        let placed = Placed {
            queue,
            width,
            began: Some(now),
        };
        self.requests.insert(id, placed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Response = Response::Queue {
        queues: 8,
        hand: 1,
        length: 3,
    };

    #[test]
    fn requests_run_while_there_are_seats_and_then_wait_and_are_then_refused() {
        let mut set = QueueSet::new(QUEUE, 2, 0.0);
        let arrivals: Vec<Arrival> = (0..6).map(|id| set.arrive(id, 1, 1, 0.0)).collect();
        let refused = Arrival::Reject("queue-full");
        assert_eq!(
            arrivals,
            [
                Arrival::Run,
                Arrival::Run,
                Arrival::Wait,
                Arrival::Wait,
                Arrival::Wait,
                refused
            ]
        );
        assert_eq!((set.in_use(), set.waiting(), set.running(), set.demand()), (2, 3, 2, 5));
        assert!(set.dispatch(0.1).is_empty());
        set.finish(0, 0.2);
        assert_eq!(set.dispatch(0.2), [2]);
        assert!(set.cancel(3, 0.3) && !set.cancel(3, 0.3) && !set.cancel(2, 0.3));
        set.finish(1, 0.4);
        set.finish(2, 0.4);
        assert_eq!(set.dispatch(0.4), [4]);
        set.finish(4, 0.5);
        assert_eq!((set.in_use(), set.waiting(), set.running()), (0, 0, 0));
    }

    #[test]
    fn a_level_without_queues_refuses_at_once() {
        let mut set = QueueSet::new(Response::Reject, 1, 0.0);
        assert_eq!(set.arrive(1, 0, 1, 0.0), Arrival::Run);
        assert_eq!(set.arrive(2, 0, 1, 0.0), Arrival::Reject("concurrency-limit"));
        set.finish(1, 1.0);
        assert_eq!(set.arrive(3, 0, 1, 1.0), Arrival::Run);
    }

    #[test]
    fn a_flow_that_asks_much_does_not_keep_others_waiting() {
        let response = Response::Queue {
            queues: 8,
            hand: 1,
            length: 100,
        };
        let mut set = QueueSet::new(response, 1, 0.0);
        assert_eq!(set.arrive(0, 0, 1, 0.0), Arrival::Run);
        for id in 1..50 {
            set.arrive(id, 0, 1, 0.0);
        }
        for id in 100..103 {
            assert_eq!(set.arrive(id, 5, 1, 0.0), Arrival::Wait);
        }
        let (mut now, mut running, mut order) = (0.0, 0, Vec::new());
        for _ in 0..8 {
            now += 0.1;
            set.finish(running, now);
            let started = set.dispatch(now);
            assert_eq!(started.len(), 1);
            running = started[0];
            order.push(running);
        }
        let last_of_few = order.iter().position(|id| *id == 102).unwrap();
        assert!(last_of_few <= 6, "{order:?}");
    }

    #[test]
    fn a_wide_request_is_waited_for_and_runs_alone_when_it_is_wider_than_all() {
        let mut set = QueueSet::new(QUEUE, 4, 0.0);
        assert_eq!(set.arrive(1, 1, 3, 0.0), Arrival::Run);
        assert_eq!(set.arrive(2, 2, 4, 0.0), Arrival::Wait);
        assert_eq!(set.arrive(3, 3, 1, 0.0), Arrival::Wait);
        set.finish(1, 0.1);
        assert_eq!(set.dispatch(0.1), [2]);
        set.finish(2, 0.2);
        assert_eq!(set.dispatch(0.2), [3]);
        set.finish(3, 0.3);
        assert_eq!(set.arrive(4, 1, 9, 0.3), Arrival::Run);
    }

    #[test]
    fn more_seats_let_more_run() {
        let mut set = QueueSet::new(QUEUE, 1, 0.0);
        set.arrive(1, 1, 1, 0.0);
        set.arrive(2, 2, 1, 0.0);
        set.arrive(3, 3, 1, 0.0);
        set.set_seats(3);
        assert_eq!(set.dispatch(0.0).len(), 2);
    }
}
