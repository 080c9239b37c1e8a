package mirror

import (
	"context"
	"iter"
	"runtime"
	"sync"
)

// InOrder calls do with each item, several at a time, and yields the results in the order of the items. It ends after an
// error, and when ctx ends. No call of do runs any more when the iteration has ended. Memory is needed for a few items for
// each processor.
func InOrder[T, R any](ctx context.Context, items func(context.Context) iter.Seq2[T, error], do func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	type result struct {
		value R
		err   error
	}
	return func(yield func(R, error) bool) {
		parent := ctx
		ctx, cancel := context.WithCancel(ctx)
		queue := make(chan chan result, runtime.GOMAXPROCS(0))
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		running.Go(func() {
			defer close(queue)
			for item, err := range items(ctx) {
				done := make(chan result, 1)
				select {
				case queue <- done:
				case <-ctx.Done():
					return
				}
				if err != nil {
					done <- result{err: err}
					return
				}
				running.Go(func() {
					value, err := do(ctx, item)
					done <- result{value, err}
				})
			}
		})
		for done := range queue {
			r := <-done
			if !yield(r.value, r.err) || r.err != nil {
				return
			}
		}
		if err := parent.Err(); err != nil {
			var none R
			yield(none, err)
		}
	}
}
