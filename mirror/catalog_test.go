package mirror

import (
	"errors"
	"fmt"
	"testing"
)

// TestPages checks that every item of a list comes once, also if the last page is full, and that an error ends the list.
func TestPages(t *testing.T) {
	broken := errors.New("broken")
	for _, n := range []int{0, 1, pageSize - 1, pageSize, pageSize + 1, 2 * pageSize} {
		for _, failAt := range []string{"none", "", fmt.Sprintf("%04d", pageSize-1)} {
			requested := 0
			list := pages("", func(after string) (page []string, err error) {
				requested++
				if after == failAt {
					return nil, broken
				}
				for i := range n {
					if item := fmt.Sprintf("%04d", i); item > after && len(page) < pageSize {
						page = append(page, item)
					}
				}
				return page, nil
			}, func(item string) string { return item })
			count := 0
			var failed error
			for item, err := range list {
				if failed = err; err == nil && item != fmt.Sprintf("%04d", count) {
					t.Fatalf("%d items: item %d is %s", n, count, item)
				}
				if err == nil {
					count++
				}
			}
			want, wantErr := n, error(nil)
			switch {
			case failAt == "":
				want, wantErr = 0, broken
			case failAt != "none" && n >= pageSize:
				want, wantErr = pageSize, broken
			}
			if count != want || failed != wantErr {
				t.Errorf("%d items, failing after %q: got %d and %v, want %d and %v", n, failAt, count, failed, want, wantErr)
			}
			if failAt == "none" && requested != n/pageSize+1 {
				t.Errorf("%d items: %d pages were requested", n, requested)
			}
		}
	}
}
