package events

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Options configure [Events]. Only Dir is required.
type Options struct {
	// Dir is the folder of the queues. It is created with the first endpoint.
	Dir string
	// Names returns the mirror's names for repositories. Nil means the zero [mirror.Names].
	Names func() mirror.Names
	// URL returns the address of the mirror for clients, such as https://reg.example. If it is "", events contain no
	// URLs.
	URL func() string
	// Address (host:port) and Agent (program/version) identify the sender.
	Address, Agent string
	Log            *zap.Logger
}

// Events queues events and delivers them. It is safe for concurrent use. A nil Events discards everything.
type Events struct {
	opts   Options
	source Source
	in     [lanes]chan *record
	shares [lanes]*mirror.Shares[string] // of the channels, by client
	sinks  atomic.Pointer[[]*sink]
	stop   chan struct{}
	wrote  chan struct{} // closed when the writer has ended

	mu        sync.Mutex
	endpoints map[string]*persistent // by name, configured or not
	link      Link                   // nil before Deliver
	cancel    context.CancelFunc
	work      sync.WaitGroup
	closed    bool
}

// New returns Events without endpoints, see [Events.Configure]. The caller must close it.
func New(opts Options) *Events {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Names == nil {
		opts.Names = func() mirror.Names { return mirror.Names{} }
	}
	if opts.URL == nil {
		opts.URL = func() string { return "" }
	}
	e := &Events{
		opts: opts, source: Source{Addr: opts.Address, InstanceID: uuid.NewString()},
		stop: make(chan struct{}), wrote: make(chan struct{}), endpoints: map[string]*persistent{}, cancel: func() {},
	}
	for l := range lanes {
		e.in[l], e.shares[l] = make(chan *record, channelSize), mirror.NewShares[string](channelSize)
	}
	e.sinks.Store(new([]*sink))
	go e.write()
	return e
}

// Configure prepares a new set of endpoints. Each of the two queues of an endpoint is limited to bound bytes. The
// endpoints take effect when use is called. An endpoint that already exists under the same name keeps its queue. The
// queues of removed endpoints stay on disk.
func (e *Events) Configure(endpoints []Endpoint, bound int64) (use func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sinks := make([]*sink, 0, len(endpoints))
	for _, endpoint := range endpoints {
		if slices.ContainsFunc(sinks, func(s *sink) bool { return strings.EqualFold(s.Name, endpoint.Name) }) {
			return nil, fmt.Errorf("endpoint %s is defined twice", endpoint.Name)
		}
		s, err := e.newSink(endpoint, bound)
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, s)
	}
	return func() { e.apply(sinks, bound) }, nil
}

func (e *Events) newSink(endpoint Endpoint, bound int64) (s *sink, err error) {
	if err := endpoint.Validate(); err != nil {
		return nil, err
	}
	endpoint.Timeout, endpoint.Batch = cmp.Or(endpoint.Timeout, defaultTimeout), cmp.Or(endpoint.Batch, defaultBatch)
	s = &sink{Endpoint: endpoint, agent: e.opts.Agent, log: e.opts.Log}
	if s.pem, err = endpoint.authorities(); err != nil {
		return nil, err
	}
	if s.client, err = endpoint.client(s.pem); err != nil {
		return nil, err
	}
	if s.persistent = e.endpoints[endpoint.Name]; s.persistent != nil {
		return s, nil
	}
	s.persistent = &persistent{counters: newCounters()}
	unreadable := 0
	if s.queues, unreadable, err = openQueues(filepath.Join(e.opts.Dir, endpoint.Name), bound); err != nil {
		return nil, fmt.Errorf("endpoint %s: open its queue: %w", endpoint.Name, err)
	}
	s.drop(unreadable, Unreadable, nil)
	e.endpoints[endpoint.Name] = s.persistent
	return s, nil
}

// apply makes a new set of endpoints effective.
func (e *Events) apply(sinks []*sink, bound int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := *e.sinks.Load()
	if !e.closed && !slices.EqualFunc(now, sinks, (*sink).same) {
		e.cancel()
		e.work.Wait()
		e.sinks.Store(&sinks)
		e.startDelivery()
	}
	for _, s := range *e.sinks.Load() {
		for _, q := range s.queues {
			q.setBound(bound)
		}
	}
	e.warnOfUnusedQueues()
}

// warnOfUnusedQueues logs the queues on disk that no endpoint uses.
func (e *Events) warnOfUnusedQueues() {
	entries, _ := os.ReadDir(e.opts.Dir) // the folder may not exist
	for _, entry := range entries {
		if !slices.ContainsFunc(*e.sinks.Load(), func(s *sink) bool { return s.Name == entry.Name() }) {
			e.opts.Log.Warn("this queue of events belongs to no configured endpoint: its folder can be removed", zap.String("folder", filepath.Join(e.opts.Dir, entry.Name())))
		}
	}
}

// Deliver starts the delivery. Without it, events stay queued for a later process. It may be called once.
func (e *Events) Deliver(link Link) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.link = link
	e.startDelivery()
}

// startDelivery starts the delivery to all endpoints.
func (e *Events) startDelivery() {
	if e.link == nil || e.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	link := e.link
	for _, s := range *e.sinks.Load() {
		e.work.Go(func() { s.deliver(ctx, link) })
	}
}

// Close stops the delivery and writes all events to disk.
func (e *Events) Close() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.closed = true
	e.cancel()
	e.work.Wait()
	close(e.stop)
	<-e.wrote
	for name, endpoint := range e.endpoints {
		if err := endpoint.queues[0].close(); err != nil {
			e.opts.Log.Error("cannot close a queue of events", zap.String("endpoint", name), zap.Error(err))
		}
	}
}

// Status returns the status of all endpoints.
func (e *Events) Status() []Status {
	if e == nil {
		return nil
	}
	sinks := *e.sinks.Load()
	all := make([]Status, len(sinks))
	for i, s := range sinks {
		all[i] = s.status()
	}
	return all
}
