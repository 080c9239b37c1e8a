package mirror

import (
	"context"
	"net"
)

type insistKey struct{}

// BypassBreaker returns a context of questions for which an upstream that counts as gone is asked all the same.
func BypassBreaker(ctx context.Context) context.Context {
	return context.WithValue(ctx, insistKey{}, true)
}

// BypassesBreaker reports whether ctx is one of [BypassBreaker].
func BypassesBreaker(ctx context.Context) bool { return ctx.Value(insistKey{}) != nil }

type backgroundKey struct{}

// Background returns a context of questions that no client waits for: what fails or is limited among them holds no client
// back.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground reports whether ctx is one of [Background].
func IsBackground(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }

type clientKey struct{}

// WithClient returns a context of requests that come from a client at an address, which wants remember.
func WithClient(ctx context.Context, addr net.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, addr)
}

// ClientOf returns the host that a request came from, or "".
func ClientOf(ctx context.Context) string {
	addr, ok := ctx.Value(clientKey{}).(net.Addr)
	if !ok {
		return ""
	}
	return HostOf(addr.String())
}

type exactKey struct{}

// WithoutShortNames returns a context of a client that is given nothing in the place of what it names, since it may not read
// what its short names stand for; see [LongName].
func WithoutShortNames(ctx context.Context) context.Context {
	return context.WithValue(ctx, exactKey{}, true)
}

// ShortNamesIgnored reports whether ctx is one of [WithoutShortNames].
func ShortNamesIgnored(ctx context.Context) bool { return ctx.Value(exactKey{}) != nil }

type patientKey struct{}

// WithFullLists returns a context of work that waits for an upstream's list for as long as the upstream may take, even if
// there is a held one to fall back on: to have the whole list matters more to it than to have one soon.
func WithFullLists(ctx context.Context) context.Context {
	return context.WithValue(ctx, patientKey{}, true)
}

// FullLists reports whether ctx is one of [WithFullLists].
func FullLists(ctx context.Context) bool { return ctx.Value(patientKey{}) != nil }

type lookKey struct{}

// WithoutUsage returns a context of somebody who only looks at what is held: to list it, or to see what is missing.
func WithoutUsage(ctx context.Context) context.Context {
	return context.WithValue(ctx, lookKey{}, true)
}

// UsageIgnored reports whether what is read is only looked at, to list it or to see what is missing: a [Store] does not take
// that for a use. Otherwise to ask when an image was last used would be to use it, and to sync a list of images every
// night would keep all of them in use for ever.
func UsageIgnored(ctx context.Context) bool { return ctx.Value(lookKey{}) != nil }

// WithClientOf returns ctx with the client of another context.
func WithClientOf(ctx, client context.Context) context.Context {
	return context.WithValue(ctx, clientKey{}, client.Value(clientKey{}))
}
