//! Every function, its warm environments and its concurrency.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, TryAcquireError};

use super::environment::{Environment, Living, Used, World};
use super::{FunctionOptions, Invocations, InvokeError, PAYLOAD_LIMIT, Process};

/// How often an invocation is handed to another environment when one ended before taking it.
const HANDOVERS: usize = 2;

struct Function {
    options: FunctionOptions,
    warm: Mutex<Vec<Environment>>,
    free: Semaphore,
}

impl Function {
    fn warm(&self) -> Option<Environment> {
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut environment) = warm.pop() {
            if environment.lives() {
                return Some(environment);
            }
        }
        None
    }
}

/// The functions of this account.
pub(crate) struct Functions {
    world: World,
    named: RwLock<BTreeMap<String, Arc<Function>>>,
    counted: Mutex<BTreeMap<String, Invocations>>,
    living: Living,
}

impl Functions {
    pub(crate) fn new(world: World) -> Self {
        Self { world, named: RwLock::default(), counted: Mutex::default(), living: Living::default() }
    }

    pub(crate) fn arn(&self, name: &str) -> String {
        self.world.function_arn(name)
    }

    /// The processes that run, of each function the oldest first.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.living.processes()
    }

    /// Adds a function, or replaces the one of that name; invocations under way end with the old one.
    pub(crate) fn add(&self, options: FunctionOptions) {
        let free = Semaphore::new(options.concurrency);
        let name = options.name.clone();
        let function = Arc::new(Function { options, warm: Mutex::default(), free });
        self.named.write().unwrap_or_else(PoisonError::into_inner).insert(name, function);
    }

    /// What became of a function's invocations so far, also of one of that name that was replaced.
    pub(crate) fn invocations(&self, name: &str) -> Invocations {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }

    /// Invokes a function and waits for its answer; throttled where that is not possible now.
    pub(crate) async fn invoke(&self, name: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let ended = self.run(name, payload).await;
        self.counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_default()
            .add(&ended);
        ended
    }

    async fn run(&self, name: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let function = self.named(name)?;
        if payload.len() > PAYLOAD_LIMIT {
            return Err(InvokeError::PayloadTooLarge { bytes: payload.len() });
        }
        let _free = function.free.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits => InvokeError::Throttled,
            TryAcquireError::Closed => InvokeError::Stopped,
        })?;
        let mut handovers = 0;
        loop {
            let (environment, fresh) = match function.warm() {
                Some(environment) => (environment, false),
                None => (Environment::start(&function.options, &self.world, &self.living).await?, true),
            };
            match environment.invoke(payload.clone(), function.options.timeout).await {
                Used::Warm(environment, result) => {
                    if !function.free.is_closed() {
                        function.warm.lock().unwrap_or_else(PoisonError::into_inner).push(*environment);
                    }
                    return result;
                }
                Used::Gone(error) => return Err(error),
                Used::NotTaken(error) if fresh || handovers == HANDOVERS => return Err(error),
                Used::NotTaken(_) => handovers += 1,
            }
        }
    }

    /// How long one more process of a function takes until it asks for work; it is ended then.
    pub(crate) async fn start_time(&self, name: &str) -> Result<Duration, InvokeError> {
        let function = self.named(name)?;
        let start = Instant::now();
        let mut environment = Environment::start(&function.options, &self.world, &self.living).await?;
        environment.asked().await?;
        let time = start.elapsed();
        environment.stop().await;
        Ok(time)
    }

    fn named(&self, name: &str) -> Result<Arc<Function>, InvokeError> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.get(name).cloned().ok_or_else(|| InvokeError::NoSuchFunction(name.to_owned()))
    }

    /// Ends every process that waits; those that work are killed with their invocation.
    pub(crate) async fn stop(&self) {
        let functions = std::mem::take(&mut *self.named.write().unwrap_or_else(PoisonError::into_inner));
        let mut stopping = Vec::new();
        for function in functions.into_values() {
            function.free.close();
            let warm = std::mem::take(&mut *function.warm.lock().unwrap_or_else(PoisonError::into_inner));
            stopping.extend(warm.into_iter().map(Environment::stop));
        }
        futures::future::join_all(stopping).await;
    }
}
