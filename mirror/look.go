package mirror

import "context"

type lookKey struct{}

// look returns a context of somebody who only looks at what is held.
func look(ctx context.Context) context.Context { return context.WithValue(ctx, lookKey{}, true) }

// Looks reports whether what is read is only looked at, to list it: a [Store] does not take that for a use. Otherwise
// to ask when an image was last used would be to use it.
func Looks(ctx context.Context) bool { return ctx.Value(lookKey{}) != nil }
