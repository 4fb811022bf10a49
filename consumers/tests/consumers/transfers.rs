//! The process `transfers`: whatever fails and whenever it dies, no money is made or lost, and every transfer ends.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bank::{
    Account, AccountCommand, Books, Order, Transfer, TransferCommand, TransferStatus, books::Audited,
};
use consumers::transfers::Transfers;
use futures::TryStreamExt;
use headwater::{
    Aggregate, CommitId, Options, Settings, Store, StreamId, Version,
    consume::{Reactor, Ticked, parked},
    format::key,
    memory::{Fault, FaultyObjects, Operation, World},
    port::{ObjectError, Objects, Ports},
};

const DAY: Duration = Duration::from_hours(24);

/// A bank with the accounts 1 to 3 and 100 in the first; the process works over ports that fail as a test says.
struct Bank {
    world: World,
    objects: Arc<FaultyObjects>,
    ports: Ports,
    store: Store,
}

impl Bank {
    async fn new() -> Self {
        let world = World::new(7);
        let objects = Arc::new(FaultyObjects::new(world.objects.clone()));
        let ports = Ports { objects: objects.clone() as Arc<dyn Objects>, ..world.ports() };
        let store = Store::new(world.ports(), Settings::default());
        let bank = Self { world, objects, ports, store };
        for id in ["1", "2", "3"] {
            let open = AccountCommand::Open { overdraft_limit: 0.try_into().expect("a limit"), holder: None };
            bank.ask(id, open).await;
        }
        bank.credit("1", 100).await;
        bank
    }

    async fn ask(&self, id: &str, command: AccountCommand) {
        self.store.execute::<Account>(id, command, Options::default()).await.expect("executes");
    }

    async fn credit(&self, id: &str, amount: i64) {
        let amount = amount.try_into().expect("an amount");
        self.ask(id, AccountCommand::Credit { amount, reference: None, transfer: None }).await;
    }

    /// Orders the transfer `7` from 1 to 2.
    async fn order(&self, amount: i64) {
        let (from, to) = ("1".parse().expect("an account"), "2".parse().expect("an account"));
        let amount = amount.try_into().expect("an amount");
        let (from_version, to_version) = (Version::new(2), Version::new(1));
        let order = Order { from, to, amount, reference: None, from_version, to_version };
        self.tell(TransferCommand::Request(order)).await;
    }

    async fn tell(&self, command: TransferCommand) {
        self.store.execute::<Transfer>("7", command, Options::default()).await.expect("executes");
    }

    /// A process that has just begun.
    fn reactor(&self) -> Reactor<Transfers> {
        let store = Store::new(self.ports.clone(), Settings::default());
        Reactor::new(Transfers { expire_after: DAY }, store, &self.ports)
    }

    /// Hands the process all that was published, until nothing comes of it any more; tells whether the world failed.
    async fn pump(&self, reactor: &Reactor<Transfers>) -> bool {
        loop {
            let records = self.world.log.records();
            if !reactor.react(&records).await.is_empty() {
                return false;
            }
            reactor.store().drain(Duration::from_mins(1)).await;
            if self.world.log.records().len() == records.len() {
                return true;
            }
        }
    }

    /// Lets what the dead left under way come to its end, and a new process finish.
    async fn finish(&self) {
        self.objects.faults().clear();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(self.pump(&self.reactor()).await, "the world is well again");
    }

    async fn books(&self) -> Books {
        let mut books = Books::default();
        for kind in [Account::KIND, Transfer::KIND] {
            for (object, _) in self.world.objects.all(&format!("{}{kind}/", key::HEADS)) {
                let stream = key::stream_of_head(&object).expect("a head");
                let commits: Vec<_> =
                    self.store.read(&stream, Version::new(1)).try_collect().await.expect("reads");
                books.take(&stream, commits.iter().flat_map(|commit| &commit.events)).expect("decodes");
            }
        }
        books
    }

    /// The money adds up, and the transfer ended so; tells what is in the accounts 1 to 3.
    async fn at_rest(&self, status: TransferStatus, why: &str) -> [i64; 3] {
        let Audited { violations, .. } = self.books().await.audit_at_rest();
        assert_eq!(violations, Vec::<String>::new(), "{why}");
        assert_eq!(self.transfer().await.status(), status, "{why}");
        let parked = parked(&self.ports, "transfers").await.expect("listed");
        assert!(parked.is_empty(), "{why}: {parked:?}");
        let mut balances = [0; 3];
        for (balance, id) in balances.iter_mut().zip(["1", "2", "3"]) {
            *balance = self.store.load::<Account>(id).await.expect("loads").state.balance().get();
        }
        balances
    }

    async fn transfer(&self) -> Transfer {
        self.store.load::<Transfer>("7").await.expect("loads").state
    }

    /// No write of an object under this key is answered, and none takes place.
    fn unwritable(&self, key: &'static str) {
        self.objects.faults().hook(move |call| match (call.operation, call.key.as_str()) {
            (Operation::Put, written) if written == key => Fault::Before(lost()),
            _ => Fault::None,
        });
    }
}

fn lost() -> ObjectError {
    ObjectError::Unknown("lost".into())
}

/// Polls a future `steps` times and drops it; tells whether it ended before.
async fn run_for(steps: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = steps;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// What becomes of a transfer, and what stands in the accounts then.
#[derive(Debug, Clone, Copy)]
enum Scene {
    Completed,
    Refused,
    Refunded,
    Stranded,
}

impl Scene {
    const ALL: [Self; 4] = [Self::Completed, Self::Refused, Self::Refunded, Self::Stranded];

    /// A bank in which just this is about to happen.
    async fn set(self) -> Bank {
        let bank = Bank::new().await;
        match self {
            Self::Completed => bank.order(70).await,
            Self::Refused => bank.order(101).await,
            Self::Refunded => {
                bank.order(70).await;
                bank.ask("2", AccountCommand::Close).await;
            }
            Self::Stranded => {
                bank.order(100).await;
                bank.unwritable("heads/account/2");
                assert!(!bank.pump(&bank.reactor()).await, "debited, and not credited yet");
                bank.objects.faults().clear();
                tokio::time::sleep(Duration::from_mins(1)).await;
                for id in ["1", "2"] {
                    bank.ask(id, AccountCommand::Close).await;
                }
            }
        }
        bank
    }

    fn end(self) -> (TransferStatus, [i64; 3]) {
        match self {
            Self::Completed => (TransferStatus::Completed, [30, 70, 0]),
            Self::Refused => (TransferStatus::Refused, [100, 0, 0]),
            Self::Refunded => (TransferStatus::Refunded, [100, 0, 0]),
            Self::Stranded => (TransferStatus::Stranded, [0, 0, 0]),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_transfer_ends_and_no_money_is_made_or_lost() {
    for scene in Scene::ALL {
        let bank = scene.set().await;
        assert_eq!(bank.books().await.audit().violations, Vec::<String>::new());
        bank.finish().await;
        let (status, balances) = scene.end();
        assert_eq!(bank.at_rest(status, &format!("{scene:?}")).await, balances);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_makes_and_loses_nothing() {
    for scene in Scene::ALL {
        for steps in 0.. {
            let bank = scene.set().await;
            let ended = run_for(steps, bank.pump(&bank.reactor())).await;
            let why = format!("{scene:?} after {steps} steps");
            assert_eq!(bank.books().await.audit().violations, Vec::<String>::new(), "{why}");
            bank.finish().await;
            let (status, balances) = scene.end();
            assert_eq!(bank.at_rest(status, &why).await, balances, "{why}");
            if ended {
                assert!(steps >= 8, "{why}: there are that many awaits to crash at, at least");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_makes_and_loses_nothing() {
    for fault in [Fault::Before(lost()), Fault::After(lost()), Fault::Late(lost(), Duration::from_secs(5))] {
        for scene in Scene::ALL {
            for place in 1.. {
                let bank = scene.set().await;
                let calls = Arc::new(AtomicU64::new(0));
                let (counted, fault) = (Arc::clone(&calls), fault.clone());
                bank.objects.faults().hook(move |call| {
                    let write = call.operation == Operation::Put;
                    // Three in a row, so that a retry does not mend it at once.
                    let number = if write { counted.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
                    if (place..place + 3).contains(&number) { fault.clone() } else { Fault::None }
                });
                bank.pump(&bank.reactor()).await;
                let why = format!("{scene:?}, write {place}");
                assert_eq!(bank.books().await.audit().violations, Vec::<String>::new(), "{why}");
                bank.finish().await;
                let (status, balances) = scene.end();
                assert_eq!(bank.at_rest(status, &why).await, balances, "{why}");
                if calls.load(Ordering::SeqCst) < place {
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_at_once_move_it_once() {
    for scene in Scene::ALL {
        let bank = scene.set().await;
        let (one, two) = (bank.reactor(), bank.reactor());
        tokio::join!(bank.pump(&one), bank.pump(&two));
        bank.finish().await;
        let (status, balances) = scene.end();
        assert_eq!(bank.at_rest(status, &format!("{scene:?}")).await, balances);
    }
}

#[tokio::test(start_paused = true)]
async fn a_movement_is_found_again_behind_any_number_of_others() {
    let bank = Bank::new().await;
    bank.order(70).await;
    bank.unwritable("heads/transfer/7");
    assert!(!bank.pump(&bank.reactor()).await, "withdrawn, and the transfer does not know");
    // More than the head remembers, so that it stands in a page.
    let (amount, reference) =
        (1.try_into().expect("an amount"), Some("x".repeat(140).parse().expect("a text")));
    for _ in 0..300 {
        let credit = AccountCommand::Credit { amount, reference: reference.clone(), transfer: None };
        bank.ask("1", credit).await;
    }
    assert!(!bank.world.objects.all("pages/account/1/").is_empty());
    bank.finish().await;
    assert_eq!(bank.at_rest(TransferStatus::Completed, "once").await, [330, 70, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_no_stays_a_no_whatever_the_account_would_say_by_now() {
    let bank = Bank::new().await;
    bank.order(101).await;
    bank.unwritable("heads/transfer/7");
    assert!(!bank.pump(&bank.reactor()).await, "declined, and the transfer does not know");
    bank.credit("1", 50).await;
    bank.finish().await;
    assert_eq!(bank.at_rest(TransferStatus::Refused, "the first answer").await, [150, 0, 0]);
    assert_eq!(bank.transfer().await.reason(), Some("101 was asked for and 100 is available"));
}

#[tokio::test(start_paused = true)]
async fn stranded_money_goes_where_the_operator_says() {
    let bank = Scene::Stranded.set().await;
    bank.finish().await;
    assert_eq!(bank.transfer().await.reason(), Some("the account is closed"));
    let redirect = |to: &str| TransferCommand::Redirect {
        to: to.parse().expect("an account"),
        to_version: Version::new(1),
    };
    bank.tell(redirect("2")).await;
    bank.finish().await;
    assert_eq!(bank.at_rest(TransferStatus::Stranded, "2 is closed still").await, [0, 0, 0]);
    bank.tell(redirect("3")).await;
    bank.finish().await;
    assert_eq!(bank.at_rest(TransferStatus::Completed, "redirected").await, [0, 0, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_waits_too_long_expires_and_moves_nothing() {
    let bank = Bank::new().await;
    bank.order(70).await;
    bank.unwritable("heads/account/1");
    assert!(!bank.pump(&bank.reactor()).await, "the account cannot be written");
    assert_eq!(bank.reactor().tick().await, Ok(Ticked::default()), "not yet");
    bank.world.clock.advance(DAY);
    bank.objects.faults().clear();
    assert_eq!(bank.reactor().tick().await, Ok(Ticked { done: 1, failed: 0 }));
    bank.finish().await;
    assert_eq!(bank.at_rest(TransferStatus::Expired, "expired").await, [100, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn money_that_was_taken_out_before_the_transfer_expired_goes_back() {
    let bank = Bank::new().await;
    bank.order(70).await;
    bank.unwritable("heads/transfer/7");
    assert!(!bank.pump(&bank.reactor()).await, "withdrawn, and the transfer does not know");
    bank.world.clock.advance(DAY);
    bank.objects.faults().clear();
    assert_eq!(bank.reactor().tick().await, Ok(Ticked { done: 1, failed: 0 }));
    assert_eq!(bank.transfer().await.status(), TransferStatus::Expired);
    bank.finish().await;
    assert_eq!(bank.at_rest(TransferStatus::Refunded, "back").await, [100, 0, 0]);
    assert_eq!(bank.transfer().await.reason(), Some("the transfer expired"));
}

#[tokio::test(start_paused = true)]
async fn money_that_a_slow_process_would_take_out_of_an_expired_transfer_stays() {
    let bank = Bank::new().await;
    bank.order(70).await;
    // A process looks at the transfer, and then its withdrawal takes two days to arrive.
    let held = Fault::Delay(2 * DAY);
    bank.objects.faults().hook(move |call| match (call.operation, call.key.as_str()) {
        (Operation::Get, "heads/account/1") => held.clone(),
        _ => Fault::None,
    });
    let slow = bank.reactor();
    let (records, world) = (bank.world.log.records(), &bank.world);
    let others = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bank.objects.faults().clear();
        world.clock.advance(DAY);
        assert_eq!(bank.reactor().tick().await, Ok(Ticked { done: 1, failed: 0 }));
        assert!(bank.pump(&bank.reactor()).await);
    };
    tokio::join!(slow.react(&records), others);
    bank.finish().await;
    tokio::time::sleep(3 * DAY).await;
    bank.finish().await;
    assert_eq!(bank.at_rest(TransferStatus::Expired, "expired").await, [100, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_id_that_stands_for_something_else_moves_nothing() {
    // An import brings the commit id and the cause of the withdrawal, and withdraws something else under it.
    let probe = Scene::Completed.set().await;
    probe.finish().await;
    let account: StreamId = "account/1".parse().expect("a stream");
    let commits: Vec<_> = probe.store.read(&account, Version::new(3)).try_collect().await.expect("reads");
    for (amount, transfer) in [(70, None), (70, Some("8")), (1, Some("7"))] {
        let bank = Bank::new().await;
        bank.order(70).await;
        let (commit_id, meta) = (Some(commits[0].id.clone()), commits[0].meta.clone());
        let options = Options { commit_id, meta, ..Options::default() };
        let withdraw = AccountCommand::Withdraw {
            amount: amount.try_into().expect("an amount"),
            reference: None,
            transfer: transfer.map(|id| id.parse().expect("a transfer")),
        };
        bank.store.execute::<Account>("1", withdraw, options).await.expect("executes");
        assert!(bank.pump(&bank.reactor()).await);
        let parked = parked(&bank.ports, "transfers").await.expect("listed");
        assert!(parked[0].parked.error.contains("names something else"), "{parked:?}");
        assert_eq!(bank.transfer().await.status(), TransferStatus::Requested);
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_key_cannot_take_the_id_of_a_step() {
    /// What the process derives for the credit of the transfer `7`.
    const STEP: &str = "process:52d92572-2d54-51f4-83f7-afc2147d4934";
    for key in [STEP, STEP.trim_start_matches("process:")] {
        let bank = Bank::new().await;
        let commit_id = Some(CommitId::of_key(key).expect("a key"));
        let amount = 1.try_into().expect("an amount");
        let credit = AccountCommand::Credit { amount, reference: None, transfer: None };
        let options = Options { commit_id, ..Options::default() };
        bank.store.execute::<Account>("2", credit, options).await.expect("executes");
        bank.order(60).await;
        bank.finish().await;
        assert_eq!(bank.transfer().await.status(), TransferStatus::Completed);
        let two = StreamId::new(Account::KIND, "2").expect("a stream");
        let commits: Vec<_> = bank.store.read(&two, Version::new(1)).try_collect().await.expect("reads");
        let ids: Vec<_> = commits.iter().skip(1).map(|commit| commit.id.to_string()).collect();
        assert_eq!(ids, [format!("key:{key}"), STEP.to_owned()]);
    }
}
