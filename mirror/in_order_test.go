package mirror_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"airmirror/mirror"
)

// numbers yields the numbers below n, and then the error.
func numbers(n int, err error) func(context.Context) iter.Seq2[int, error] {
	return func(context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if err != nil {
				yield(0, err)
			}
		}
	}
}

// TestInOrderRunsSeveralAtATime ends the calls of each pair of items in the wrong order: the first of them waits for the
// second one. In a bubble, a call that waits forever fails the test.
func TestInOrderRunsSeveralAtATime(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	}
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		second := make([]chan struct{}, n)
		for i := range second {
			second[i] = make(chan struct{})
		}
		var got, want []int
		for square, err := range mirror.InOrder(t.Context(), numbers(n, nil), func(_ context.Context, i int) (int, error) {
			if i%2 == 1 {
				close(second[i])
			} else {
				<-second[i+1]
			}
			return i * i, nil
		}) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, square)
		}
		for i := range n {
			want = append(want, i*i)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

func TestInOrderEndsAfterAnError(t *testing.T) {
	broken := errors.New("broken")
	identity := func(_ context.Context, i int) (int, error) { return i, nil }
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		list  iter.Seq2[int, error]
		items int
		err   error
	}{
		"of an item": {mirror.InOrder(t.Context(), numbers(9, nil), func(_ context.Context, i int) (int, error) {
			if i == 3 {
				return 0, broken
			}
			return i, nil
		}), 3, broken},
		"of the items":   {mirror.InOrder(t.Context(), numbers(5, broken), identity), 5, broken},
		"of the context": {mirror.InOrder(canceled, numbers(0, nil), identity), 0, context.Canceled},
	} {
		n, failures := 0, []error(nil)
		for _, err := range tt.list {
			if err != nil {
				failures = append(failures, err)
			} else {
				n++
			}
		}
		if n != tt.items || len(failures) != 1 || !errors.Is(failures[0], tt.err) {
			t.Errorf("error %s: %d items and errors %v, want %d and %v", name, n, failures, tt.items, tt.err)
		}
	}
}
