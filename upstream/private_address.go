package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"
)

// reach decides on which way requests go. An endpoint chooses where it sends its clients to, by redirects and by the
// token service that it names. One on a public address must not have this mirror ask on behalf of its clients what only
// the machine of the mirror, or its network, can reach. One on a private address may: its storage and its token service
// are where it is. What counts is the address that is dialled, and not the name.
type addressGuard struct {
	endpoint Endpoint
	any      *http.Transport // to any address
	public   *http.Transport // to public ones only
	private  atomic.Bool     // the endpoint was found at an address that is not public
}

// RoundTrip sends r.
func (c *addressGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	proxy, err := c.proxy(r)
	switch {
	case err != nil:
		return nil, err
	case c.endpoint.owns(r.URL):
		return c.any.RoundTrip(c.tracked(r, proxy))
	case c.private.Load():
		return c.any.RoundTrip(r)
	case proxy == nil:
		return c.public.RoundTrip(r)
	}
	if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !isPublic(ip) || r.URL.Hostname() == "localhost" {
		return nil, privateAddressError(r.URL.Host)
	}
	return c.any.RoundTrip(r) // the proxy dials, and knows what it may
}

func (c *addressGuard) proxy(r *http.Request) (*url.URL, error) {
	if c.any.Proxy == nil {
		return nil, nil
	}
	return c.any.Proxy(r)
}

// watched is r, to the endpoint itself, with an eye on where that is. What a proxy dials nobody knows here.
func (c *addressGuard) tracked(r *http.Request, proxy *url.URL) *http.Request {
	if proxy != nil {
		ip, err := netip.ParseAddr(r.URL.Hostname())
		c.private.Store(err == nil && !isPublic(ip))
		return r
	}
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { c.private.Store(!publicAddr(got.Conn.RemoteAddr())) },
	}))
}

// privateAddressError: an address was not dialled, or nothing sent there.
type privateAddressError string

func (e privateAddressError) Error() string {
	return fmt.Sprintf("%v to follow an upstream on a public address to %s, which is not public", errNotAllowed, string(e))
}

func (privateAddressError) Unwrap() error { return errNotAllowed }

// publicOnly dials public addresses only. What dial connects to nevertheless is closed before anything is sent.
func publicOnly(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil && !publicAddr(conn.RemoteAddr()) {
			_ = conn.Close()
			return nil, privateAddressError(addr)
		}
		return conn, err
	}
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// denyPrivate is the control of a dialer that connects to public addresses only.
func denyPrivate(_, addr string, _ syscall.RawConn) error {
	if ip, err := netip.ParseAddrPort(addr); err != nil || !isPublic(ip.Addr()) {
		return privateAddressError(addr)
	}
	return nil
}

func publicAddr(addr net.Addr) bool {
	ip, err := netip.ParseAddrPort(addr.String())
	return err == nil && isPublic(ip.Addr())
}

var (
	sharedAddresses = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: of providers and of clusters
	thisNetwork     = netip.MustParsePrefix("0.0.0.0/8")
)

// isPublic reports whether an address is one of the internet at large.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	return !(ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() ||
		sharedAddresses.Contains(ip) || thisNetwork.Contains(ip))
}
