package mirror

import (
	"context"
	"net"
)

type bypassKey struct{}

// BypassBreaker returns a context whose requests are sent to upstreams even if they are considered down.
func BypassBreaker(ctx context.Context) context.Context {
	return context.WithValue(ctx, bypassKey{}, true)
}

// BypassesBreaker reports whether ctx was made by [BypassBreaker].
func BypassesBreaker(ctx context.Context) bool { return ctx.Value(bypassKey{}) != nil }

type backgroundKey struct{}

// Background returns a context of requests that no client waits for. Their failures and rate limits do not affect the
// requests of clients.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground reports whether ctx was made by [Background].
func IsBackground(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }

type clientKey struct{}

// WithClient returns a context of requests from the client at an address.
func WithClient(ctx context.Context, addr net.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, addr)
}

// WithClientOf returns ctx with the client of another context.
func WithClientOf(ctx, other context.Context) context.Context {
	return context.WithValue(ctx, clientKey{}, other.Value(clientKey{}))
}

// ClientOf returns the host of the client of ctx, without a port, or "".
func ClientOf(ctx context.Context) string {
	addr, ok := ctx.Value(clientKey{}).(net.Addr)
	if !ok {
		return ""
	}
	return HostOf(addr.String())
}

type exactNamesKey struct{}

// WithoutShortNames returns a context in which short names are not resolved, see [LongName]. It is for clients that may not
// read the repositories that their short names stand for.
func WithoutShortNames(ctx context.Context) context.Context {
	return context.WithValue(ctx, exactNamesKey{}, true)
}

// ShortNamesIgnored reports whether ctx was made by [WithoutShortNames].
func ShortNamesIgnored(ctx context.Context) bool { return ctx.Value(exactNamesKey{}) != nil }

type fullListsKey struct{}

// WithFullLists returns a context in which the list of an upstream is awaited however long it takes, even if the stored
// items could be returned at once.
func WithFullLists(ctx context.Context) context.Context {
	return context.WithValue(ctx, fullListsKey{}, true)
}

// FullLists reports whether ctx was made by [WithFullLists].
func FullLists(ctx context.Context) bool { return ctx.Value(fullListsKey{}) != nil }

type withoutUsageKey struct{}

// WithoutUsage returns a context in which reading content does not count as using it, for listings and checks. Otherwise
// listing images would set the time of their last use, and a nightly sync would keep all images in use forever.
func WithoutUsage(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutUsageKey{}, true)
}

// UsageIgnored reports whether ctx was made by [WithoutUsage]. A [Store] does not record a use then.
func UsageIgnored(ctx context.Context) bool { return ctx.Value(withoutUsageKey{}) != nil }
