//go:build bench

package bench_test

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// row is one line of the table. Ours and reference are medians in unit.
type row struct {
	name            string
	ours, reference float64
	against         string
	unit            string
	ratios          []float64 // of ours to the reference, one for each round
	aim             aim
	memory          memory // of the mirror; zero where it says nothing new
	note            string
}

// aim is what a number should be at least, or at most; the zero value is none.
type aim struct {
	limit    float64
	atMost   bool
	absolute bool // it is about ours, not about the ratio
}

func atLeast(ratio float64) aim { return aim{limit: ratio} }
func atMost(ratio float64) aim  { return aim{limit: ratio, atMost: true} }

// memoryAim is for the anonymous memory of the mirror, in every row.
const memoryAim = 48 * mib

var table []row

// list puts a row into the table.
func (r row) list() { table = append(table, r) }

// add lists the row that a benchmark is about, and puts it into the benchmark's output.
func (r row) add(b *testing.B) {
	r.list()
	if len(r.ratios) > 0 {
		b.ReportMetric(median(r.ratios), "ratio")
	}
	b.ReportMetric(r.ours, strings.ReplaceAll(r.unit, " ", "-"))
}

func (r row) ratio() string {
	if len(r.ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f (%.2f-%.2f)", median(r.ratios), slices.Min(r.ratios), slices.Max(r.ratios))
}

func (r row) verdict() string {
	if r.aim == (aim{}) {
		return ""
	}
	value, unit := r.ours, " "+r.unit
	if !r.aim.absolute {
		value, unit = median(r.ratios), ""
	}
	sign, met := ">=", value >= r.aim.limit
	if r.aim.atMost {
		sign, met = "<=", value <= r.aim.limit
	}
	verdict := "missed"
	if met {
		verdict = "met"
	}
	return fmt.Sprintf("%s %v%s %s", sign, r.aim.limit, unit, verdict)
}

func printTable(out io.Writer) {
	if len(table) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s, %d cores. Ratios are the median of rounds (lowest-highest).\n", runtime.Version(), runtime.NumCPU())
	fmt.Fprintf(out, "Memory is the mirror's peak: resident, and anonymous (aim < %d MiB).\n\n", memoryAim/mib)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tours\treference\tratio\taim\tresident\tanonymous\t")
	for _, r := range table {
		fmt.Fprintln(w, strings.Join(r.cells(), "\t"))
	}
	w.Flush()
}

// cells are the columns of a row.
func (r row) cells() []string {
	reference := ""
	if r.against != "" {
		reference = number(r.reference) + " " + r.against
	}
	return []string{
		r.name, number(r.ours) + " " + r.unit, reference, r.ratio(), r.verdict(),
		mebibytes(r.memory.resident), mebibytes(r.memory.anonymous), r.note,
	}
}

func mebibytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/mib)
}

// number has three digits that say something.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
