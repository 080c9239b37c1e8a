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

// addressGuard protects the mirror's network from server-side request forgery. An endpoint chooses the hosts that it refers
// its clients to, by redirects and by its token service. An endpoint on a public address must not make this mirror send
// requests to hosts that only the machine of the mirror or its network can reach. An endpoint on a private address may: its
// storage and its token service are in the same network. The guard checks the address that is dialled, not the name.
type addressGuard struct {
	endpoint Endpoint
	any      *http.Transport // dials any address
	public   *http.Transport // dials public addresses only
	private  atomic.Bool     // the address of the endpoint is not public
}

// RoundTrip implements [http.RoundTripper].
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
	return c.any.RoundTrip(r) // the proxy dials, by its own rules
}

func (c *addressGuard) proxy(r *http.Request) (*url.URL, error) {
	if c.any.Proxy == nil {
		return nil, nil
	}
	return c.any.Proxy(r)
}

// tracked returns r, a request to the endpoint itself, and records whether its address is public. The address that a proxy
// dials is unknown, unless the URL contains it.
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

// privateAddressError says that an address was not dialled, or that nothing was sent to it.
type privateAddressError string

func (e privateAddressError) Error() string {
	return fmt.Sprintf("%v to send a request to %s, which is not public, for an upstream on a public address", errRefused, string(e))
}

func (privateAddressError) Unwrap() error { return errRefused }

// publicOnly returns a dial function for public addresses only. It closes connections to other addresses before anything
// is sent.
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

// denyPrivate is the Control function of a dialer that connects to public addresses only.
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
	sharedAddresses = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: used by providers and clusters
	thisNetwork     = netip.MustParsePrefix("0.0.0.0/8")
)

// isPublic reports whether an address is reachable from the whole internet.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	return !(ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() ||
		sharedAddresses.Contains(ip) || thisNetwork.Contains(ip))
}
