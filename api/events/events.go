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

// Options are what [Events] are made with. Only Dir is needed.
type Options struct {
	// Dir is the folder of the queues. It is made when there is an endpoint.
	Dir string
	// Names says how the mirror calls repositories; nil is the zero [mirror.Names].
	Names func() mirror.Names
	// URL returns how clients reach the mirror, as https://reg.example. Events have no URLs if that is "".
	URL func() string
	// Address and Agent say who sends: host:port, and program/version.
	Address, Agent string
	Log            *zap.Logger
}

// Events takes what happens and has it delivered. It is safe for concurrent use; a nil one takes and does nothing.
type Events struct {
	opts   Options
	source Source
	in     [lanes]chan record
	shares [lanes]*mirror.Shares[string] // of what is in these, by client
	sinks  atomic.Pointer[[]*sink]
	stop   chan struct{}
	wrote  chan struct{} // closed when the writer has ended

	mu          sync.Mutex
	sinksByName map[string]*sink // by name: the last of each, be it configured or not
	link        Link             // nil before Deliver
	cancel      context.CancelFunc
	work        sync.WaitGroup
	closed      bool
}

// happened is an event with the repository that it is about.
type record struct {
	Event
	repo mirror.Repo
}

// New returns events without endpoints: see [Events.Configure]. The caller closes it.
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
		stop: make(chan struct{}), wrote: make(chan struct{}), sinksByName: map[string]*sink{}, cancel: func() {},
	}
	for l := range lanes {
		e.in[l], e.shares[l] = make(chan record, channelSize), mirror.NewShares[string](channelSize)
	}
	e.sinks.Store(new([]*sink))
	go e.write()
	return e
}

// Configure prepares other endpoints, whose queues become no larger than bound, in bytes, each:
// that of changes, and that of pulls and wants. They count from when use
// is called, and nothing changes before; an endpoint with the name of an earlier one goes on with its queue. The queue of
// one that is configured no more stays on the disk.
func (e *Events) Configure(endpoints []Endpoint, bound int64) (use func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sinks := make([]*sink, 0, len(endpoints))
	for _, endpoint := range endpoints {
		if slices.ContainsFunc(sinks, func(s *sink) bool { return strings.EqualFold(s.Name, endpoint.Name) }) {
			return nil, fmt.Errorf("endpoint %s is there twice", endpoint.Name)
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
	if before, ok := e.sinksByName[endpoint.Name]; ok {
		s.queues, s.counters = before.queues, before.counters
		return s, nil
	}
	s.counters = newCounters()
	for l := range lanes {
		if s.queues[l], err = openQueue(filepath.Join(e.opts.Dir, endpoint.Name), l, bound); err != nil {
			return nil, fmt.Errorf("endpoint %s: open its queue: %w", endpoint.Name, err)
		}
	}
	return s, nil
}

// use has other endpoints count.
func (e *Events) apply(sinks []*sink, bound int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := *e.sinks.Load()
	if !e.closed && !slices.EqualFunc(now, sinks, (*sink).same) {
		e.cancel()
		e.work.Wait()
		for _, s := range sinks {
			if before, ok := e.sinksByName[s.Name]; ok { // there was another reload between
				s.queues, s.counters = before.queues, before.counters
			}
			e.sinksByName[s.Name] = s
		}
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

// warnOfUnusedQueues says which queues there are that nothing is delivered from.
func (e *Events) warnOfUnusedQueues() {
	entries, _ := os.ReadDir(e.opts.Dir) // with none there are none
	for _, entry := range entries {
		if !slices.ContainsFunc(*e.sinks.Load(), func(s *sink) bool { return s.Name == entry.Name() }) {
			e.opts.Log.Warn("a queue of events is of no endpoint that is configured: its folder can be removed", zap.String("folder", filepath.Join(e.opts.Dir, entry.Name())))
		}
	}
}

// Deliver begins to deliver, which without it is left to a later process. Call it once.
func (e *Events) Deliver(link Link) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.link = link
	e.startDelivery()
}

// begin has all endpoints be delivered to.
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

// Close ends deliveries and has everything that happened be on the disk.
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
	for _, s := range e.sinksByName {
		for _, q := range s.queues {
			q.close()
		}
	}
}

// Status returns how the endpoints are doing.
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
