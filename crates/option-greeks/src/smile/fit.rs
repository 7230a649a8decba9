//! The search for the smile: three parameters by least squares inside, two by a simplex outside.

use super::{Smile, SmileError, SmileFit, SmilePoint};

/// Steps of the simplex; it settles in about a hundred.
const STEPS: usize = 400;
/// Restarts, from narrow to round vertices.
const ROUNDNESS: [f64; 3] = [0.3, 1.0, 3.0];
/// What a unit of violated butterfly condition costs, in squared volatility.
const PENALTY: f64 = 10.0;

/// Fits a smile to the volatilities of one expiry. Points that are not positive and finite are left out.
///
/// # Errors
///
/// [`SmileError::TooFewPoints`] with fewer than five usable points, and [`SmileError::Arbitrage`] when the best smile found
/// still has butterfly arbitrage.
pub fn fit_smile(points: &[SmilePoint], years_to_expiry: f64) -> Result<SmileFit, SmileError> {
    if !(years_to_expiry > 0.0 && years_to_expiry < f64::INFINITY) {
        return Err(SmileError::BadExpiry);
    }
    let positive = |x: f64| x > 0.0 && x < f64::INFINITY;
    let points: Vec<SmilePoint> = points
        .iter()
        .filter(|p| p.log_moneyness.is_finite() && positive(p.volatility) && positive(p.weight))
        .copied()
        .collect();
    if points.len() < 5 {
        return Err(SmileError::TooFewPoints);
    }
    let search = Search { years: years_to_expiry, scale: spread(&points), points };
    let best = ROUNDNESS
        .into_iter()
        .map(|roundness| search.descend([0.0, (roundness * search.scale).ln()]))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .ok_or(SmileError::TooFewPoints)?;
    let smile = search.smile(best.1);
    let butterfly_margin = smile.butterfly_margin();
    if butterfly_margin <= 0.0 {
        return Err(SmileError::Arbitrage);
    }
    let (rms, worst) = search.residuals(&smile);
    Ok(SmileFit { smile, rms, worst, butterfly_margin })
}

/// Weighted standard deviation of the moneyness.
fn spread(points: &[SmilePoint]) -> f64 {
    let weights: f64 = points.iter().map(|p| p.weight).sum();
    let mean = points.iter().map(|p| p.weight * p.log_moneyness).sum::<f64>() / weights;
    let square = points.iter().map(|p| p.weight * (p.log_moneyness - mean).powi(2)).sum::<f64>() / weights;
    square.sqrt().max(1e-6)
}

struct Search {
    points: Vec<SmilePoint>,
    years: f64,
    scale: f64,
}

impl Search {
    /// The best smile with the vertex at `m` and the roundness `exp(ln_sigma)`.
    fn smile(&self, [m, ln_sigma]: [f64; 2]) -> Smile {
        let sigma = ln_sigma.exp();
        // w = a + d y + c sqrt(y^2 + 1) with y = (k-m)/sigma, c = b sigma and d = rho c.
        let mut normal = [[0.0; 4]; 3];
        for p in &self.points {
            let y = (p.log_moneyness - m) / sigma;
            let w = p.volatility * p.volatility * self.years;
            // A residual of variance is one of volatility times 2 v T.
            let weight = p.weight / (2.0 * p.volatility * self.years).powi(2);
            let row = [1.0, y, y.hypot(1.0), w];
            for i in 0..3 {
                for j in 0..4 {
                    normal[i][j] += weight * row[i] * row[j];
                }
            }
        }
        let free = solve(normal);
        let feasible = |[_, d, c]: [f64; 3]| c >= 0.0 && d.abs() <= c;
        let [a, d, c] = if feasible(free) {
            free
        } else {
            // The optimum lies on an edge: rho = 1, rho = -1, or a flat smile.
            [1.0, -1.0, 0.0]
                .into_iter()
                .map(|rho| edge(&normal, rho))
                .filter(|candidate| feasible(*candidate))
                .min_by(|x, y| quadratic(&normal, *x).total_cmp(&quadratic(&normal, *y)))
                .unwrap_or([normal[0][3] / normal[0][0], 0.0, 0.0])
        };
        let rho = if c > 0.0 { (d / c).clamp(-1.0, 1.0) } else { 0.0 };
        Smile { a, b: c / sigma, rho, m, sigma, years: self.years }
    }

    /// Weighted root mean square and largest residual, in volatility.
    fn residuals(&self, smile: &Smile) -> (f64, f64) {
        let (mut square, mut weights, mut worst) = (0.0, 0.0, 0.0_f64);
        for p in &self.points {
            let miss = smile.volatility(p.log_moneyness) - p.volatility;
            square += p.weight * miss * miss;
            weights += p.weight;
            worst = worst.max(miss.abs());
        }
        ((square / weights).sqrt(), worst)
    }

    /// Mean squared residual plus the price of arbitrage.
    fn cost(&self, at: [f64; 2]) -> f64 {
        let smile = self.smile(at);
        let (rms, _) = self.residuals(&smile);
        let violation = (-smile.butterfly_margin()).max(0.0);
        let cost = rms * rms + PENALTY * violation;
        if cost.is_nan() { f64::INFINITY } else { cost }
    }

    /// J. A. Nelder and R. Mead, "A simplex method for function minimization", Computer J. 7 (1965).
    fn descend(&self, start: [f64; 2]) -> (f64, [f64; 2]) {
        let vertex = |at: [f64; 2]| (self.cost(at), at);
        let mut simplex = [
            vertex(start),
            vertex([start[0] + 0.5 * self.scale, start[1]]),
            vertex([start[0], start[1] + 0.5]),
        ];
        for _ in 0..STEPS {
            simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
            let [best, middle, worst] = simplex;
            if (worst.1[0] - best.1[0]).abs() < 1e-10 && (worst.1[1] - best.1[1]).abs() < 1e-10 {
                break;
            }
            let along = |t: f64| -> [f64; 2] {
                std::array::from_fn(|i| {
                    let centre = (best.1[i] + middle.1[i]) / 2.0;
                    centre + t * (worst.1[i] - centre)
                })
            };
            let reflected = vertex(along(-1.0));
            simplex[2] = if reflected.0 < best.0 {
                let expanded = vertex(along(-2.0));
                if expanded.0 < reflected.0 { expanded } else { reflected }
            } else if reflected.0 < middle.0 {
                reflected
            } else {
                let contracted = vertex(along(if reflected.0 < worst.0 { -0.5 } else { 0.5 }));
                if contracted.0 < worst.0 {
                    contracted
                } else {
                    let halfway = |p: [f64; 2]| std::array::from_fn(|i| (p[i] + best.1[i]) / 2.0);
                    simplex[1] = vertex(halfway(middle.1));
                    vertex(halfway(worst.1))
                }
            };
        }
        simplex.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(simplex[0])
    }
}

/// Three equations by Gauss elimination with pivots.
fn solve(mut system: [[f64; 4]; 3]) -> [f64; 3] {
    for column in 0..3 {
        let pivot = (column..3)
            .max_by(|i, j| system[*i][column].abs().total_cmp(&system[*j][column].abs()))
            .unwrap_or(column);
        system.swap(column, pivot);
        for row in column + 1..3 {
            let factor = system[row][column] / system[column][column];
            let pivot_row = system[column];
            for (entry, above) in system[row].iter_mut().zip(pivot_row).skip(column) {
                *entry -= factor * above;
            }
        }
    }
    let mut x = [0.0; 3];
    for row in (0..3).rev() {
        let known: f64 = (row + 1..3).map(|k| system[row][k] * x[k]).sum();
        x[row] = (system[row][3] - known) / system[row][row];
    }
    x
}

/// The best `a` and `c` with `d = rho c`.
fn edge(normal: &[[f64; 4]; 3], rho: f64) -> [f64; 3] {
    let (s, t) = (normal[0][0], rho * normal[0][1] + normal[0][2]);
    let u = rho * rho * normal[1][1] + 2.0 * rho * normal[1][2] + normal[2][2];
    let (p, q) = (normal[0][3], rho * normal[1][3] + normal[2][3]);
    let determinant = s * u - t * t;
    let (a, c) = ((p * u - q * t) / determinant, (s * q - t * p) / determinant);
    [a, rho * c, c]
}

/// The sum of squares at a solution, up to a constant.
fn quadratic(normal: &[[f64; 4]; 3], x: [f64; 3]) -> f64 {
    let mut sum = 0.0;
    for i in 0..3 {
        sum -= 2.0 * x[i] * normal[i][3];
        for j in 0..3 {
            sum += x[i] * x[j] * normal[i][j];
        }
    }
    sum
}
