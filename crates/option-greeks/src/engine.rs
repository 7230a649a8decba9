//! Which instructions run the kernels: asked of the processor, or chosen by a test or a benchmark.

use crate::block::Progress;
use crate::chain::{AllColumns, Chain, GreeksColumns, PriceColumns, VolatilityChain};
use crate::lanes::Kernel;
#[cfg(target_arch = "x86_64")]
use crate::lanes::x86::{Avx2, Avx512};
use crate::refused::Refused;
use crate::solve::{Solve, SolveOne};
use crate::solve_wide::SolveWide;
use crate::value::{Value, ValueOne, ValueWide};
use crate::{Greeks, ImpliedVolError, OptionInputs, PricingError, Status};

/// An instruction set. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Eight options at a time (x86-64 with AVX-512 F, DQ and VL).
    Avx512,
    /// Four options at a time (x86-64 with AVX2 and FMA).
    Avx2,
    /// One option at a time, on every processor.
    Scalar,
}

/// The kernels on one instruction set. The functions at the root of the crate use [`Engine::best`].
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    wide: Wide,
    single: Single,
}

#[derive(Clone, Copy, Debug)]
enum Wide {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Single,
}

/// How one lane runs: with fused multiply-add as an instruction, or whatever the build has.
#[derive(Clone, Copy, Debug)]
enum Single {
    #[cfg(target_arch = "x86_64")]
    Fma(Avx2),
    Portable,
}

// === impl Path ===

impl Path {
    /// All paths, fastest first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Scalar];

    /// A short name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Scalar => "scalar",
        }
    }
}

// === impl Engine ===

impl Engine {
    /// The fastest path of this processor.
    #[must_use]
    pub fn best() -> Self {
        let single = single();
        #[cfg(target_arch = "x86_64")]
        if let Some(proof) = Avx512::detect() {
            return Self { wide: Wide::Avx512(proof), single };
        }
        #[cfg(target_arch = "x86_64")]
        if let Single::Fma(proof) = single {
            return Self { wide: Wide::Avx2(proof), single };
        }
        Self { wide: Wide::Single, single }
    }

    /// For one option: only the processor's scalar path is asked for.
    #[inline]
    pub(crate) fn for_one() -> Self {
        Self { wide: Wide::Single, single: single() }
    }

    /// A chosen path, if this processor has it.
    #[must_use]
    pub fn on(path: Path) -> Option<Self> {
        let single = single();
        let wide = match path {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => Wide::Avx512(Avx512::detect()?),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => Wide::Avx2(Avx2::detect()?),
            Path::Scalar => Wide::Single,
            #[cfg(not(target_arch = "x86_64"))]
            _ => return None,
        };
        Some(Self { wide, single })
    }

    /// The scalar path without any special instruction, as on a processor that has none.
    #[must_use]
    pub fn portable() -> Self {
        Self { wide: Wide::Single, single: Single::Portable }
    }

    /// The path this engine runs.
    #[must_use]
    pub fn path(&self) -> Path {
        match self.wide {
            #[cfg(target_arch = "x86_64")]
            Wide::Avx512(_) => Path::Avx512,
            #[cfg(target_arch = "x86_64")]
            Wide::Avx2(_) => Path::Avx2,
            Wide::Single => Path::Scalar,
        }
    }

    fn run<K: Kernel>(&self, kernel: K) -> K::Answer {
        match self.wide {
            #[cfg(target_arch = "x86_64")]
            Wide::Avx512(proof) => proof.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Wide::Avx2(proof) => proof.run(kernel),
            Wide::Single => self.run_single(kernel),
        }
    }

    fn run_single<K: Kernel>(&self, kernel: K) -> K::Answer {
        match self.single {
            #[cfg(target_arch = "x86_64")]
            Single::Fma(proof) => proof.run_single(kernel),
            Single::Portable => kernel.run(0.0_f64),
        }
    }

    /// A kernel for one option: what counts is how long it waits for itself.
    #[inline(always)]
    fn run_one<K: Kernel>(&self, kernel: K) -> K::Answer {
        match self.single {
            #[cfg(target_arch = "x86_64")]
            Single::Fma(proof) => proof.run_one(kernel),
            Single::Portable => run_portable(kernel),
        }
    }

    /// See [`price`](crate::price).
    ///
    /// # Errors
    ///
    /// The first input that is out of its domain.
    #[inline]
    pub fn price(&self, option: &OptionInputs, volatility: f64) -> Result<f64, PricingError> {
        self.greeks(option, volatility).map(|greeks| greeks.price)
    }

    /// See [`greeks`](crate::greeks()).
    ///
    /// # Errors
    ///
    /// The first input that is out of its domain.
    #[inline]
    pub fn greeks(&self, option: &OptionInputs, volatility: f64) -> Result<Greeks, PricingError> {
        let (status, greeks) = self.run_one(ValueOne { option, volatility });
        match status.pricing_error() {
            None => Ok(greeks),
            Some(error) => Err(error),
        }
    }

    /// See [`implied_volatility`](crate::implied_volatility).
    ///
    /// # Errors
    ///
    /// The first input that is out of its domain, or the bound the price violates.
    #[inline]
    pub fn implied_volatility(&self, option: &OptionInputs, price: f64) -> Result<f64, ImpliedVolError> {
        let (volatility, status) = self.run_one(SolveOne { option, price });
        match status.implied_vol_error() {
            None => Ok(volatility),
            Some(error) => Err(error),
        }
    }

    /// Implied volatility of every option of a chain, NaN where the status is not [`Status::Ok`].
    ///
    /// # Panics
    ///
    /// When the slices differ in length.
    pub fn implied_volatilities(&self, chain: &Chain<'_>, iv: &mut [f64], status: &mut [Status]) {
        self.solve(chain, [iv], status);
    }

    /// See [`implied_greeks`](crate::implied_greeks).
    ///
    /// # Panics
    ///
    /// When the slices differ in length.
    pub fn implied_greeks(&self, chain: &Chain<'_>, out: &mut GreeksColumns<'_>) {
        let GreeksColumns { iv, delta, gamma, vega, theta, rho, status } = out;
        self.solve(chain, [iv, delta, gamma, vega, theta, rho], status);
    }

    /// Implied volatility and all Greeks of every option of a chain.
    ///
    /// # Panics
    ///
    /// When the slices differ in length.
    pub fn implied_all(&self, chain: &Chain<'_>, out: &mut AllColumns<'_>) {
        let AllColumns { first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed, status } = out;
        self.solve(chain, [first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed], status);
    }

    /// See [`greeks_at`](crate::greeks_at).
    ///
    /// # Panics
    ///
    /// When the slices differ in length.
    pub fn greeks_at(&self, chain: &VolatilityChain<'_>, out: &mut PriceColumns<'_>) {
        let PriceColumns { price, delta, gamma, vega, theta, rho, status } = out;
        self.value(chain, [price, delta, gamma, vega, theta, rho], status);
    }

    /// Price and all Greeks of every option of a chain.
    ///
    /// # Panics
    ///
    /// When the slices differ in length.
    pub fn all_at(&self, chain: &VolatilityChain<'_>, out: &mut AllColumns<'_>) {
        let AllColumns { first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed, status } = out;
        self.value(chain, [first, delta, gamma, vega, theta, rho, vanna, volga, charm, speed], status);
    }

    fn solve<const N: usize>(&self, chain: &Chain<'_>, mut columns: [&mut [f64]; N], status: &mut [Status]) {
        check_lengths(chain.strikes.len(), [chain.kinds.len(), chain.prices.len(), status.len()], &columns);
        let (mut start, mut refused) = (0, Refused::new());
        while start < chain.strikes.len() {
            let now = columns.each_mut().map(|column| &mut **column);
            let progress = Progress { status: &mut *status, start: &mut start, refused: &mut refused };
            self.run(Solve { chain: *chain, columns: now, progress });
            if !refused.places().is_empty() {
                self.run(SolveWide { chain: *chain, refused: &refused, columns: &mut columns, status });
                refused.clear();
            }
        }
    }

    fn value<const N: usize>(
        &self,
        chain: &VolatilityChain<'_>,
        mut columns: [&mut [f64]; N],
        status: &mut [Status],
    ) {
        check_lengths(
            chain.strikes.len(),
            [chain.kinds.len(), chain.volatilities.len(), status.len()],
            &columns,
        );
        let (mut start, mut refused) = (0, Refused::new());
        while start < chain.strikes.len() {
            let now = columns.each_mut().map(|column| &mut **column);
            let progress = Progress { status: &mut *status, start: &mut start, refused: &mut refused };
            self.run(Value { chain: *chain, columns: now, progress });
            if !refused.places().is_empty() {
                self.run(ValueWide { chain: *chain, refused: &refused, columns: &mut columns, status });
                refused.clear();
            }
        }
    }
}

/// Apart, so that a call on a processor with the instructions does not prepare for the one without.
#[inline(never)]
fn run_portable<K: Kernel>(kernel: K) -> K::Answer {
    kernel.run(0.0_f64)
}

#[inline]
fn single() -> Single {
    #[cfg(target_arch = "x86_64")]
    if let Some(proof) = Avx2::detect() {
        return Single::Fma(proof);
    }
    Single::Portable
}

fn check_lengths<const N: usize>(n: usize, others: [usize; 3], columns: &[&mut [f64]; N]) {
    assert!(others == [n; 3], "chain slices and statuses differ in length");
    assert!(columns.iter().all(|column| column.len() == n), "output columns differ in length from the chain");
}
