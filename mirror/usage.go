package mirror

import "context"

type lookKey struct{}

// WithoutUsage returns a context of somebody who only looks at what is held: to list it, or to see what is missing.
func WithoutUsage(ctx context.Context) context.Context {
	return context.WithValue(ctx, lookKey{}, true)
}

// UsageIgnored reports whether what is read is only looked at, to list it or to see what is missing: a [Store] does not take
// that for a use. Otherwise to ask when an image was last used would be to use it, and to sync a list of images every
// night would keep all of them in use for ever.
func UsageIgnored(ctx context.Context) bool { return ctx.Value(lookKey{}) != nil }
