/* The parts of the score network over edges, and the small ones between its products, as training computes them.

   Compiled for one architecture: CHANNELS, HEADS, VALUES, VECTORS and NEAR (neighbours) are given by `fused.py`. Arrays
   are contiguous float32, rows first; sizes are given as there. One thread. */

#include <math.h>
#include <string.h>

#define TWICE (2 * VECTORS)
#define INVARIANTS (7 * VECTORS)
#define SEEN (CHANNELS + HEADS * VALUES + INVARIANTS) /* what `look` reads: own, neighbours', invariants */
#define MIXED (HEADS * VECTORS + HEADS + VECTORS)     /* what `mix` reads: neighbours', reach, own */
#define TOLD (VALUES + 3 * VECTORS)
#define EDGE 14
#define HIDDEN 24
#define OUT (HEADS + 1)
#define GROUP 4 /* points whose edges are computed side by side */
#define LANES (GROUP * NEAR)

/* Eight numbers that are computed at once; the loops over them are short and of known length, so that sums stay in
   registers. */
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
#define EIGHTS(count) (((count) + 7) / 8)
#define PADDED (8 * EIGHTS(TOLD))

/* ------------------------------------------------------------------------------------------- sums over neighbours */

/* What point j tells, padded with zeros: values, then arrows. */
static void row_of(float *row, const float *values, const float *arrows, long j)
{
    memcpy(row, values + j * VALUES, VALUES * sizeof(float));
    memcpy(row + VALUES, arrows + j * 3 * VECTORS, 3 * VECTORS * sizeof(float));
    memset(row + TOLD, 0, (PADDED - TOLD) * sizeof(float));
}

/* Each head's weighted sums of the neighbours' values into `seen` and arrows into `mixing`, with reach and own arrows.
   neighbors (n, NEAR); kernels (HEADS, n, NEAR); values (n, VALUES); arrows (n, 3, VECTORS); reach (n, 3, HEADS). */
void sums_forward(long n, const int *neighbors, const float *kernels, const float *values, const float *arrows,
                  const float *reach, float *seen, float *mixing)
{
    for (long i = 0; i < n; i++) {
        float told[NEAR][PADDED];
        for (int k = 0; k < NEAR; k++)
            row_of(told[k], values, arrows, neighbors[i * NEAR + k]);
        float *near = seen + i * SEEN + CHANNELS, *mix = mixing + i * 3 * MIXED;
        for (int h = 0; h < HEADS; h++) {
            const float *kernel = kernels + (h * n + i) * NEAR;
            Eight sums[EIGHTS(TOLD)] = {0};
            for (int k = 0; k < NEAR; k++)
                for (int t = 0; t < EIGHTS(TOLD); t++)
                    sums[t] += kernel[k] * ((const Eight *)told[k])[t];
            float sum[PADDED];
            memcpy(sum, sums, sizeof sum);
            memcpy(near + h * VALUES, sum, VALUES * sizeof(float));
            for (int c = 0; c < 3; c++)
                memcpy(mix + c * MIXED + h * VECTORS, sum + VALUES + c * VECTORS, VECTORS * sizeof(float));
        }
        for (int c = 0; c < 3; c++) {
            memcpy(mix + c * MIXED + HEADS * VECTORS, reach + (i * 3 + c) * HEADS, HEADS * sizeof(float));
            memcpy(mix + c * MIXED + HEADS * (VECTORS + 1), arrows + (i * 3 + c) * VECTORS, VECTORS * sizeof(float));
        }
    }
}

/* found (HEADS, NEAR): products of each head's gradient with what each neighbour tells. */
static void to_kernels_of(float found[HEADS][NEAR], float of[HEADS][PADDED], float told[NEAR][PADDED])
{
    Eight across[TOLD][EIGHTS(NEAR)], sums[HEADS][EIGHTS(NEAR)] = {{{0}}};
    for (int k = 0; k < NEAR; k++)
        for (int t = 0; t < TOLD; t++)
            ((float *)across[t])[k] = told[k][t];
    for (int t = 0; t < TOLD; t++)
        for (int h = 0; h < HEADS; h++)
            for (int q = 0; q < EIGHTS(NEAR); q++)
                sums[h][q] += of[h][t] * across[t][q];
    for (int h = 0; h < HEADS; h++)
        memcpy(found[h], sums[h], NEAR * sizeof(float));
}

/* The gradients of the same: `to_kernels` is written; to_values, to_arrows and to_reach are added to. */
void sums_backward(long n, const int *neighbors, const float *kernels, const float *values, const float *arrows,
                   const float *of_seen, const float *of_mixing, float *to_kernels, float *to_values, float *to_arrows,
                   float *to_reach)
{
    for (long i = 0; i < n; i++) {
        float of[HEADS][PADDED] = {{0}}, told[NEAR][PADDED], found[HEADS][NEAR];
        const float *near = of_seen + i * SEEN + CHANNELS, *mix = of_mixing + i * 3 * MIXED;
        for (int h = 0; h < HEADS; h++) {
            memcpy(of[h], near + h * VALUES, VALUES * sizeof(float));
            for (int c = 0; c < 3; c++)
                memcpy(of[h] + VALUES + c * VECTORS, mix + c * MIXED + h * VECTORS, VECTORS * sizeof(float));
        }
        for (int k = 0; k < NEAR; k++)
            row_of(told[k], values, arrows, neighbors[i * NEAR + k]);
        to_kernels_of(found, of, told);
        for (int h = 0; h < HEADS; h++)
            memcpy(to_kernels + (h * n + i) * NEAR, found[h], NEAR * sizeof(float));
        for (int k = 0; k < NEAR; k++) {
            long j = neighbors[i * NEAR + k];
            Eight sums[EIGHTS(TOLD)] = {0};
            for (int h = 0; h < HEADS; h++)
                for (int t = 0; t < EIGHTS(TOLD); t++)
                    sums[t] += kernels[(h * n + i) * NEAR + k] * ((const Eight *)of[h])[t];
            float sum[PADDED];
            memcpy(sum, sums, sizeof sum);
            for (int t = 0; t < VALUES; t++)
                to_values[j * VALUES + t] += sum[t];
            for (int t = 0; t < 3 * VECTORS; t++)
                to_arrows[j * 3 * VECTORS + t] += sum[VALUES + t];
        }
        for (int c = 0; c < 3; c++) {
            for (int h = 0; h < HEADS; h++)
                to_reach[(i * 3 + c) * HEADS + h] += mix[c * MIXED + HEADS * VECTORS + h];
            for (int v = 0; v < VECTORS; v++)
                to_arrows[(i * 3 + c) * VECTORS + v] += mix[c * MIXED + HEADS * (VECTORS + 1) + v];
        }
    }
}

/* ------------------------------------------------------------------------------------------ between a layer's products */

/* Own features and the invariants of the mixed vectors (n, 3, TWICE) into `seen`; feet: (n, 2, 3) unit normals. */
void look_forward(long n, const float *features, const float *mixed, const float *feet, float *seen)
{
    for (long i = 0; i < n; i++) {
        const float *x = mixed + i * 3 * TWICE, *y = x + TWICE, *z = y + TWICE, *foot = feet + i * 6;
        float *own = seen + i * SEEN, *out = own + CHANNELS + HEADS * VALUES;
        memcpy(own, features + i * CHANNELS, CHANNELS * sizeof(float));
        for (int m = 0; m < TWICE; m++)
            out[m] = sqrtf(x[m] * x[m] + y[m] * y[m] + z[m] * z[m] + 1e-6f);
        for (int v = 0; v < VECTORS; v++)
            out[TWICE + v] = x[v] * x[VECTORS + v] + y[v] * y[VECTORS + v] + z[v] * z[VECTORS + v];
        for (int m = 0; m < TWICE; m++)
            for (int f = 0; f < 2; f++)
                out[3 * VECTORS + 2 * m + f] = fabsf(x[m] * foot[3 * f] + y[m] * foot[3 * f + 1] + z[m] * foot[3 * f + 2]);
    }
}

/* The gradient of the invariants with respect to the mixed vectors is added to `to_mixed`. */
void look_backward(long n, const float *mixed, const float *feet, const float *seen, const float *of_seen, float *to_mixed)
{
    for (long i = 0; i < n; i++) {
        const long at = i * SEEN + CHANNELS + HEADS * VALUES;
        const float *v = mixed + i * 3 * TWICE, *foot = feet + i * 6, *norm = seen + at, *of = of_seen + at;
        float *to = to_mixed + i * 3 * TWICE;
        for (int c = 0; c < 3; c++) {
            for (int m = 0; m < TWICE; m++)
                to[c * TWICE + m] += of[m] * v[c * TWICE + m] / norm[m];
            for (int k = 0; k < VECTORS; k++) {
                to[c * TWICE + k] += of[TWICE + k] * v[c * TWICE + VECTORS + k];
                to[c * TWICE + VECTORS + k] += of[TWICE + k] * v[c * TWICE + k];
            }
        }
        for (int m = 0; m < TWICE; m++)
            for (int f = 0; f < 2; f++) {
                float above = v[m] * foot[3 * f] + v[TWICE + m] * foot[3 * f + 1] + v[2 * TWICE + m] * foot[3 * f + 2];
                float sign = (above > 0) - (above < 0);
                for (int c = 0; c < 3; c++)
                    to[c * TWICE + m] += sign * of[3 * VECTORS + 2 * m + f] * foot[3 * f + c];
            }
    }
}

/* New features and arrows from `update` (n, CHANNELS + VECTORS) and carried (n, 3, VECTORS); gates (n, VECTORS) kept. */
void step_forward(long n, const float *features, const float *arrows, const float *update, const float *carried,
                  float *gates, float *features_out, float *arrows_out)
{
    for (long i = 0; i < n; i++) {
        const float *change = update + i * (CHANNELS + VECTORS);
        for (int c = 0; c < CHANNELS; c++)
            features_out[i * CHANNELS + c] = features[i * CHANNELS + c] + change[c];
        for (int v = 0; v < VECTORS; v++)
            gates[i * VECTORS + v] = tanhf(change[CHANNELS + v]);
        for (int c = 0; c < 3; c++)
            for (int v = 0; v < VECTORS; v++) {
                long at = (i * 3 + c) * VECTORS + v;
                arrows_out[at] = arrows[at] + gates[i * VECTORS + v] * carried[at];
            }
    }
}

/* The gradients with respect to `update` and carried, which are written. */
void step_backward(long n, const float *carried, const float *gates, const float *of_features, const float *of_arrows,
                   float *to_update, float *to_carried)
{
    for (long i = 0; i < n; i++) {
        float *change = to_update + i * (CHANNELS + VECTORS);
        memcpy(change, of_features + i * CHANNELS, CHANNELS * sizeof(float));
        for (int v = 0; v < VECTORS; v++) {
            float gate = gates[i * VECTORS + v], sum = 0;
            for (int c = 0; c < 3; c++) {
                long at = (i * 3 + c) * VECTORS + v;
                sum += of_arrows[at] * carried[at];
                to_carried[at] = of_arrows[at] * gate;
            }
            change[CHANNELS + v] = sum * (1 - gate * gate);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------ edge kernels */

/* What is known of the edges of a group of points, and what the two layers of `edges` and `kernel` make of it. */
typedef struct {
    float offset[3][LANES], window[LANES], by_spacing[LANES];
    float input[EDGE][LANES], hidden[HIDDEN][LANES], active[HIDDEN][LANES], raw[OUT][LANES], weight[OUT][LANES];
    float sum[HEADS][GROUP];
} Edges;

/* Weights as torch keeps them: (HIDDEN, EDGE), (HIDDEN,), (OUT, HIDDEN), (OUT,). */
typedef struct {
    const float *edges, *edges_bias, *kernel, *kernel_bias;
} Weights;

static void dot3(float *out, const float a[3][LANES], const float b[3][LANES])
{
    for (int l = 0; l < LANES; l++)
        out[l] = fabsf(a[0][l] * b[0][l] + a[1][l] * b[1][l] + a[2][l] * b[2][l]);
}

/* table (n, 9): spacing, thickness and normal at two scales, as `inputs.edge_table` makes it. */
static void edges_seen(Edges *e, long start, int count, const int *neighbors, const double *points, const float *table,
                       const float *window, const float *noise)
{
    float mine[2][3][LANES], theirs[2][3][LANES], thick[2][LANES], by_noise[LANES], spacing[LANES];
    for (int l = 0; l < LANES; l++) {
        /* Lanes without a point repeat the first; their window is 0. */
        int real = l / NEAR < count;
        long i = start + (real ? l / NEAR : 0), j = neighbors[i * NEAR + l % NEAR];
        for (int c = 0; c < 3; c++) {
            e->offset[c][l] = (float)(points[j * 3 + c] - points[i * 3 + c]);
            for (int s = 0; s < 2; s++) {
                mine[s][c][l] = table[i * 9 + 3 + 3 * s + c];
                theirs[s][c][l] = table[j * 9 + 3 + 3 * s + c];
            }
        }
        for (int s = 0; s < 2; s++)
            thick[s][l] = table[j * 9 + 1 + s];
        e->window[l] = real ? window[i * NEAR + l % NEAR] : 0;
        by_noise[l] = 1 / noise[i];
        e->by_spacing[l] = 1 / table[i * 9];
        spacing[l] = table[j * 9];
    }
    for (int l = 0; l < LANES; l++) {
        e->input[0][l] = e->window[l];
        e->input[1][l] = spacing[l] * e->by_spacing[l];
    }
    for (int s = 0; s < 2; s++) {
        float (*in)[LANES] = e->input + 2 + 6 * s, my[LANES], their[LANES];
        dot3(my, e->offset, mine[s]);
        dot3(their, e->offset, theirs[s]);
        dot3(in[0], theirs[s], mine[s]);
        for (int l = 0; l < LANES; l++) {
            in[1][l] = logf(1 + my[l] * by_noise[l]);
            in[2][l] = logf(1 + their[l] * by_noise[l]);
            in[3][l] = my[l] * e->by_spacing[l];
            in[4][l] = their[l] * e->by_spacing[l];
            in[5][l] = logf(1 + thick[s][l] * by_noise[l]);
        }
    }
}

/* bias + the sum of `count` rows of numbers, each times its weight; weights are `stride` apart. */
static inline void combined(float *out, float bias, const float *weight, int stride, int count, float row[][LANES])
{
    Eight sums[LANES / 8] = {0};
    for (int i = 0; i < count; i++)
        for (int q = 0; q < LANES / 8; q++)
            sums[q] += weight[i * stride] * ((const Eight *)row[i])[q];
    for (int q = 0; q < LANES / 8; q++)
        ((Eight *)out)[q] = sums[q] + bias;
}

static void edges_weighed(Edges *e, Weights w)
{
    for (int o = 0; o < HIDDEN; o++) {
        float sum[LANES];
        combined(sum, w.edges_bias[o], w.edges + o * EDGE, 1, EDGE, e->input);
        for (int l = 0; l < LANES; l++) {
            e->hidden[o][l] = 1 / (1 + expf(-sum[l]));
            e->active[o][l] = sum[l] * e->hidden[o][l];
            /* The slope of x sigmoid(x), which only the way back needs. */
            e->hidden[o][l] += e->active[o][l] * (1 - e->hidden[o][l]);
        }
    }
    for (int o = 0; o < OUT; o++) {
        float *raw = e->raw[o];
        combined(raw, w.kernel_bias[o], w.kernel + o * HIDDEN, 1, HIDDEN, e->active);
        for (int l = 0; l < LANES; l++)
            e->weight[o][l] = expf(fminf(fmaxf(raw[l], -12), 12)) * e->window[l];
    }
    for (int h = 0; h < HEADS; h++)
        for (int g = 0; g < GROUP; g++) {
            float sum = 1e-6f;
            for (int k = 0; k < NEAR; k++)
                sum += e->weight[h][g * NEAR + k];
            e->sum[h][g] = sum;
            for (int k = 0; k < NEAR; k++)
                e->weight[h][g * NEAR + k] /= sum;
        }
}

static int left(long n, long start) { return n - start < GROUP ? (int)(n - start) : GROUP; }

/* Heads (HEADS, n, NEAR), trust (n, NEAR) and reach (n, 3, HEADS); see `ScoreNetwork._kernels`. */
void edges_forward(long n, const int *neighbors, const double *points, const float *table, const float *window,
                   const float *noise, const float *edges, const float *edges_bias, const float *kernel,
                   const float *kernel_bias, float *heads, float *trust, float *reach)
{
    Weights w = {edges, edges_bias, kernel, kernel_bias};
    for (long start = 0; start < n; start += GROUP) {
        Edges e;
        int count = left(n, start);
        edges_seen(&e, start, count, neighbors, points, table, window, noise);
        edges_weighed(&e, w);
        memcpy(trust + start * NEAR, e.weight[HEADS], count * NEAR * sizeof(float));
        for (int h = 0; h < HEADS; h++) {
            memcpy(heads + (h * n + start) * NEAR, e.weight[h], count * NEAR * sizeof(float));
            for (int g = 0; g < count; g++)
                for (int c = 0; c < 3; c++) {
                    float sum = 0;
                    for (int l = g * NEAR; l < (g + 1) * NEAR; l++)
                        sum += e.weight[h][l] * e.offset[c][l];
                    reach[((start + g) * 3 + c) * HEADS + h] = sum * e.by_spacing[g * NEAR];
                }
        }
    }
}

/* Gradients of the weights and biases, eight partial sums each. */
typedef struct {
    Eight edges[HIDDEN][EDGE], edges_bias[HIDDEN], kernel[OUT][HIDDEN], kernel_bias[OUT];
} Learned;

static inline Eight product(const float *a, const float *b)
{
    Eight sum = {0};
    for (int q = 0; q < LANES / 8; q++)
        sum += ((const Eight *)a)[q] * ((const Eight *)b)[q];
    return sum;
}

static inline Eight total(const float *a)
{
    Eight sum = {0};
    for (int q = 0; q < LANES / 8; q++)
        sum += ((const Eight *)a)[q];
    return sum;
}

/* Adds what OUT x LANES gradients of the logits ask of the weights and biases. */
static void edges_learned(Learned *to, Edges *e, Weights w, float of[OUT][LANES])
{
    for (int o = 0; o < OUT; o++) {
        to->kernel_bias[o] += total(of[o]);
        for (int i = 0; i < HIDDEN; i++)
            to->kernel[o][i] += product(of[o], e->active[i]);
    }
    for (int i = 0; i < HIDDEN; i++) {
        float back[LANES];
        combined(back, 0, w.kernel + i, HIDDEN, OUT, of);
        for (int l = 0; l < LANES; l++)
            back[l] *= e->hidden[i][l];
        to->edges_bias[i] += total(back);
        for (int k = 0; k < EDGE; k++)
            to->edges[i][k] += product(back, e->input[k]);
    }
}

static void summed(float *out, const Eight *parts, int count)
{
    for (int i = 0; i < count; i++) {
        out[i] = 0;
        for (int q = 0; q < 8; q++)
            out[i] += parts[i][q];
    }
}

/* The gradients of `edges_forward` with respect to the weights. */
void edges_backward(long n, const int *neighbors, const double *points, const float *table, const float *window,
                    const float *noise, const float *edges, const float *edges_bias, const float *kernel,
                    const float *kernel_bias, const float *of_heads, const float *of_trust, const float *of_reach,
                    float *to_edges, float *to_edges_bias, float *to_kernel, float *to_kernel_bias)
{
    Weights w = {edges, edges_bias, kernel, kernel_bias};
    Learned to = {0};
    for (long start = 0; start < n; start += GROUP) {
        Edges e;
        float of[OUT][LANES] = {{0}};
        int count = left(n, start);
        edges_seen(&e, start, count, neighbors, points, table, window, noise);
        edges_weighed(&e, w);
        for (int g = 0; g < count; g++) {
            for (int h = 0; h < HEADS; h++) {
                float *back = of[h] + g * NEAR, shared = 0;
                const float *share = e.weight[h] + g * NEAR;
                memcpy(back, of_heads + (h * n + start + g) * NEAR, NEAR * sizeof(float));
                for (int c = 0; c < 3; c++) {
                    float pull = of_reach[((start + g) * 3 + c) * HEADS + h] * e.by_spacing[g * NEAR];
                    for (int k = 0; k < NEAR; k++)
                        back[k] += pull * e.offset[c][g * NEAR + k];
                }
                for (int k = 0; k < NEAR; k++)
                    shared += back[k] * share[k];
                for (int k = 0; k < NEAR; k++)
                    back[k] = (back[k] - shared) * share[k];
            }
            for (int k = 0; k < NEAR; k++)
                of[HEADS][g * NEAR + k] = of_trust[(start + g) * NEAR + k] * e.weight[HEADS][g * NEAR + k];
        }
        for (int o = 0; o < OUT; o++)
            for (int l = 0; l < LANES; l++)
                of[o][l] = fabsf(e.raw[o][l]) <= 12 ? of[o][l] : 0;
        edges_learned(&to, &e, w, of);
    }
    summed(to_edges, to.edges[0], HIDDEN * EDGE);
    summed(to_edges_bias, to.edges_bias, HIDDEN);
    summed(to_kernel, to.kernel[0], OUT * HIDDEN);
    summed(to_kernel_bias, to.kernel_bias, OUT);
}
