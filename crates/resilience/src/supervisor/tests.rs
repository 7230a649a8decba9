use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;
use crate::BackoffConfig;

const SECOND: Duration = Duration::from_secs(1);

fn on_failure(max_restarts: u32) -> RestartPolicy {
    RestartPolicy::OnFailure {
        backoff: BackoffConfig { initial: SECOND, max: 60 * SECOND, multiplier: 2.0, jitter: 0.0 },
        max_restarts,
        window: 600 * SECOND,
    }
}

fn supervisor() -> (Supervisor, StageId) {
    let mut supervisor = Supervisor::new(SupervisorMetrics::noop());
    let stage = supervisor.add_stage(Stage::cancelled("work", 5 * SECOND));
    (supervisor, stage)
}

async fn until_cancelled(stop: CancellationToken) -> TaskExit {
    stop.cancelled().await;
    TaskExit::Cancelled
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_is_started_again_with_growing_delays_until_the_ceiling() {
    let (mut supervisor, stage) = supervisor();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let t0 = Instant::now();
    let seen = starts.clone();
    supervisor.spawn(TaskSpec::critical("flaky", stage), on_failure(3), move |_| {
        seen.lock().unwrap().push(t0.elapsed().as_secs());
        async { TaskExit::Failed("no route".into()) }
    });
    let status = supervisor.status();
    let report = supervisor.run(CancellationToken::new()).await;
    assert_eq!(*starts.lock().unwrap(), [0, 1, 3, 7], "delays of 1, 2 and 4 s, then the ceiling");
    assert_eq!(
        report.cause.to_string(),
        "task flaky ended: failed: no route",
        "a critical task that is given up stops the rest"
    );
    assert!(!report.is_clean());
    assert_eq!(status.tasks()[0].restarts, 3);
    assert_eq!(status.tasks()[0].state, TaskState::Ended);
}

#[tokio::test(start_paused = true)]
async fn restarts_outside_the_window_are_forgotten_and_delays_begin_anew() {
    let (mut supervisor, stage) = supervisor();
    let delays = Arc::new(Mutex::new(Vec::new()));
    let (seen, ended) = (delays.clone(), Arc::new(Mutex::new(Instant::now())));
    supervisor.spawn(TaskSpec::critical("daily", stage), on_failure(1), move |_| {
        seen.lock().unwrap().push(ended.lock().unwrap().elapsed().as_secs());
        let ended = ended.clone();
        async move {
            sleep(601 * SECOND).await;
            *ended.lock().unwrap() = Instant::now();
            TaskExit::Failed("again".into())
        }
    });
    let shutdown = CancellationToken::new();
    let (report, ()) = tokio::join!(supervisor.run(shutdown.clone()), async {
        sleep(3000 * SECOND).await;
        shutdown.cancel();
    });
    assert_eq!(report.cause, ShutdownCause::Requested);
    assert_eq!(*delays.lock().unwrap(), [0, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_caught_counted_shown_and_recovered_from() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let mut supervisor = Supervisor::new(SupervisorMetrics::register(&recorder));
    let stage = supervisor.add_stage(Stage::cancelled("work", SECOND));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    supervisor.spawn(TaskSpec::critical("pipeline", stage), on_failure(5), move |stop| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(run > 0, "slice out of range in run {run}");
            until_cancelled(stop).await
        }
    });
    let status = supervisor.status();
    let shutdown = CancellationToken::new();
    let (report, ()) = tokio::join!(supervisor.run(shutdown.clone()), async {
        sleep(SECOND / 2).await;
        assert_eq!(status.tasks()[0].state, TaskState::Restarting { after: SECOND });
        assert_eq!(status.not_running(), ["pipeline".into()]);
        sleep(SECOND).await;
        let task = &status.tasks()[0];
        assert_eq!((&task.state, task.restarts, task.panics), (&TaskState::Running, 1, 1));
        assert_eq!(task.last_exit, Some(TaskExit::Panicked("slice out of range in run 0".into())));
        assert!(status.not_running().is_empty());
        shutdown.cancel();
    });
    assert!(report.is_clean());
    let mut counters: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| format!("{} {value:?}", key.key().name()))
        .collect();
    counters.sort();
    assert_eq!(counters, ["task_panics_total Counter(1)", "task_restarts_total Counter(1)"]);
}

#[tokio::test(start_paused = true)]
async fn only_a_critical_task_that_ends_unasked_stops_the_rest() {
    let (mut supervisor, stage) = supervisor();
    supervisor.spawn_once(TaskSpec::optional("import", stage), |_| async { TaskExit::InputClosed });
    supervisor.spawn_once(TaskSpec::critical("server", stage), |_| async {
        sleep(10 * SECOND).await;
        TaskExit::InputClosed
    });
    supervisor.spawn_once(TaskSpec::critical("other", stage), until_cancelled);
    let t0 = Instant::now();
    let report = supervisor.run(CancellationToken::new()).await;
    assert_eq!(report.cause.to_string(), "task server ended: input closed");
    assert_eq!(t0.elapsed(), 10 * SECOND);
    assert_eq!(report.late().count(), 0, "the others were stopped in order");
}

#[tokio::test(start_paused = true)]
async fn stages_stop_in_order_and_what_is_under_way_is_drained() {
    let mut supervisor = Supervisor::new(SupervisorMetrics::noop());
    let sources = supervisor.add_stage(Stage::cancelled("sources", SECOND));
    let work = supervisor.add_stage(Stage::drained("work", SECOND));
    let (sender, receiver) = mpsc::channel(16);
    let drained = Arc::new(AtomicU32::new(0));
    // The factory keeps a sender for its next run: it must be dropped, or "work" would never end.
    supervisor.spawn(TaskSpec::critical("source", sources), on_failure(1), move |stop| {
        let sender = sender.clone();
        async move {
            for item in 0..10 {
                sender.send(item).await.unwrap();
            }
            until_cancelled(stop).await
        }
    });
    let (counted, mut input) = (drained.clone(), receiver);
    supervisor.spawn_once(TaskSpec::critical("worker", work), move |_| async move {
        while input.recv().await.is_some() {
            sleep(SECOND / 20).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
        TaskExit::InputClosed
    });
    let shutdown = CancellationToken::new();
    let (report, ()) = tokio::join!(supervisor.run(shutdown.clone()), async {
        sleep(SECOND / 10).await;
        shutdown.cancel();
    });
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(drained.load(Ordering::SeqCst), 10);
    assert_eq!(report.stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(), ["sources", "work"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_named_and_aborted_at_the_deadline() {
    let (mut supervisor, stage) = supervisor();
    supervisor.spawn_once(TaskSpec::critical("deaf", stage), |_| async {
        std::future::pending::<()>().await;
        TaskExit::Cancelled
    });
    supervisor.spawn_once(TaskSpec::critical("good", stage), until_cancelled);
    let status = supervisor.status();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let t0 = Instant::now();
    let report = supervisor.run(shutdown).await;
    assert_eq!(report.late().collect::<Vec<_>>(), ["deaf"]);
    assert_eq!(t0.elapsed(), 5 * SECOND, "the stage's deadline, and the abort at once");
    assert!(status.tasks().iter().all(|task| task.state == TaskState::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_task_waiting_for_its_restart_does_not_delay_the_shutdown() {
    let (mut supervisor, stage) = supervisor();
    supervisor.spawn(TaskSpec::optional("flaky", stage), on_failure(9), |_| async {
        TaskExit::Failed("down".into())
    });
    let shutdown = CancellationToken::new();
    let t0 = Instant::now();
    let (report, ()) = tokio::join!(supervisor.run(shutdown.clone()), async {
        sleep(SECOND * 5 / 2).await;
        shutdown.cancel();
    });
    assert!(report.is_clean());
    assert_eq!(t0.elapsed(), SECOND * 5 / 2);
}

#[tokio::test]
async fn dropping_the_supervisor_ends_its_tasks() {
    let (mut supervisor, stage) = supervisor();
    let alive = Arc::new(());
    let held = alive.clone();
    supervisor.spawn_once(TaskSpec::critical("deaf", stage), |_| async move {
        std::future::pending::<()>().await;
        drop(held);
        TaskExit::Cancelled
    });
    drop(supervisor);
    while Arc::strong_count(&alive) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drained_stage_that_does_not_end_is_told_to_stop_and_named() {
    let mut supervisor = Supervisor::new(SupervisorMetrics::noop());
    let stage = supervisor.add_stage(Stage::drained("sinks", 5 * SECOND));
    supervisor.spawn_once(TaskSpec::critical("stuck", stage), until_cancelled);
    let status = supervisor.status();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let t0 = Instant::now();
    let report = supervisor.run(shutdown).await;
    assert_eq!(report.late().collect::<Vec<_>>(), ["stuck"]);
    assert_eq!(t0.elapsed(), 5 * SECOND, "it had the whole deadline to end by itself");
    assert_eq!(status.tasks()[0].last_exit, Some(TaskExit::Cancelled), "it was asked before it was aborted");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_factory_is_caught_like_one_of_the_task() {
    let (mut supervisor, stage) = supervisor();
    supervisor.spawn(
        TaskSpec::critical("broken", stage),
        on_failure(1),
        |_| -> std::future::Ready<TaskExit> { panic!("no configuration") },
    );
    let report = supervisor.run(CancellationToken::new()).await;
    assert_eq!(report.cause.to_string(), "task broken ended: panicked: no configuration");
}

#[tokio::test(start_paused = true)]
async fn tasks_come_and_go_while_it_runs_and_the_list_does_not_grow() {
    let (supervisor, stage) = supervisor();
    let (spawner, status) = (supervisor.spawner(), supervisor.status());
    let shutdown = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(supervisor.run(shutdown.clone()));
    for _ in 0..3 {
        let (begun, mut begins) = mpsc::channel(1);
        let task = spawner.spawn(TaskSpec::optional("feed/a", stage), on_failure(3), move |stop| {
            let begun = begun.clone();
            async move {
                begun.send(()).await.unwrap();
                until_cancelled(stop).await
            }
        });
        let task = task.unwrap();
        begins.recv().await.unwrap();
        assert_eq!(status.tasks()[0].state, TaskState::Running);
        task.retire();
        // The factory holds the sender until no restart can follow.
        assert!(begins.recv().await.is_none());
    }
    assert_eq!(status.tasks().len(), 1);
    assert_eq!(status.tasks()[0].last_exit, Some(TaskExit::Cancelled));
    shutdown.cancel();
    assert!(running.join_next().await.unwrap().unwrap().is_clean());
    let late = spawner.spawn(TaskSpec::optional("late", stage), on_failure(1), until_cancelled);
    assert_eq!(late.unwrap_err(), NotSpawned);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_started_holds_up_no_later_stage() {
    let (mut supervisor, stage) = supervisor();
    let (sender, mut receiver) = mpsc::channel::<()>(1);
    supervisor.spawn_once(TaskSpec::optional("sink", stage), move |_| async move {
        while receiver.recv().await.is_some() {}
        TaskExit::Cancelled
    });
    let task = supervisor.spawner().spawn(TaskSpec::optional("feed", stage), on_failure(1), move |stop| {
        let sender = sender.clone();
        async move {
            stop.cancelled().await;
            drop(sender);
            TaskExit::Cancelled
        }
    });
    task.unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let report = supervisor.run(shutdown).await;
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retired_task_that_fails_is_not_started_again() {
    let (supervisor, stage) = supervisor();
    let (spawner, status) = (supervisor.spawner(), supervisor.status());
    let shutdown = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(supervisor.run(shutdown.clone()));
    let task = spawner.spawn(TaskSpec::optional("feed/a", stage), on_failure(3), |stop| async move {
        stop.cancelled().await;
        TaskExit::Failed("the socket did not close".into())
    });
    task.unwrap().retire();
    sleep(10 * SECOND).await;
    assert_eq!((status.tasks()[0].restarts, &status.tasks()[0].state), (0, &TaskState::Ended));
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap();
}
