package transfer_test

import (
	"bytes"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// TestDestinationAndAgeOfBundles checks bundles by source, destination, number and creation time against the imported
// ones.
func TestDestinationAndAgeOfBundles(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	one, another := newSite(t, transfer.Options{}), newSite(t, transfer.Options{})
	bundles := map[string][]byte{}
	for _, b := range []struct {
		name string
		from *site
		to   string
		day  int
	}{ // numbered in this order for each destination
		{"one to a, first", one, "a", 10}, {"one to a, second", one, "a", 20}, {"one to a, third, with an earlier time", one, "a", 15},
		{"one to b, early", one, "b", 5}, {"one to b, late", one, "b", 25}, {"one to all, early", one, "", 6}, {"one to all, late", one, "", 26},
		{"another to a, early", another, "a", 1},
	} {
		b.from.image(app, mirror.Pushed, "linux/amd64", []string{b.name}, "v1")
		data, _ := b.from.export(transfer.ExportRequest{All: true, To: b.to, Created: day(b.day)})
		bundles[b.name] = data
	}
	const before = "one to a, second"
	for _, tt := range []struct { // after the import of the second bundle for a
		own, bundle string
		req         transfer.ImportRequest
		says        string // error; empty if the bundle is imported
	}{
		{"", "one to a, first", transfer.ImportRequest{}, "is number 1 of"},
		{"", "one to a, first", transfer.ImportRequest{AllowOlder: true}, ""},
		{"", "one to a, second", transfer.ImportRequest{}, ""}, // again
		{"", "one to a, third, with an earlier time", transfer.ImportRequest{}, ""},
		{"", "one to b, early", transfer.ImportRequest{}, "number 2 for a, created 2026-01-20"},
		{"", "one to b, early", transfer.ImportRequest{AllowOlder: true}, ""},
		{"", "one to b, late", transfer.ImportRequest{}, ""},
		{"", "one to all, early", transfer.ImportRequest{}, "--allow-older"},
		{"", "one to all, late", transfer.ImportRequest{}, ""},
		{"", "another to a, early", transfer.ImportRequest{}, ""},
		{"a", "one to b, late", transfer.ImportRequest{}, "is for b, and this mirror is a: --any-destination"},
		{"a", "one to b, late", transfer.ImportRequest{AllowOlder: true}, "is for b"},
		{"a", "one to b, late", transfer.ImportRequest{AnyDestination: true}, ""},
		{"a", "one to b, early", transfer.ImportRequest{AnyDestination: true}, "--allow-older"},
		{"a", "one to all, late", transfer.ImportRequest{}, ""},
		{"a", "one to a, third, with an earlier time", transfer.ImportRequest{}, ""},
		{"a", "another to a, early", transfer.ImportRequest{}, ""},
	} {
		t.Run(tt.own+" takes "+tt.bundle, func(t *testing.T) {
			s := newSite(t, transfer.Options{Destination: tt.own})
			s.take(bundles[before], transfer.ImportRequest{})
			for _, dry := range []bool{true, false} {
				req := tt.req
				req.DryRun = dry
				_, _, err := s.tryTake(bytes.NewReader(bundles[tt.bundle]), req)
				if tt.says != "" {
					wantCode(t, err, mirror.CodeDenied, tt.says)
				} else if err != nil {
					t.Errorf("dry run %t: %v", dry, err)
				}
			}
		})
	}
}
