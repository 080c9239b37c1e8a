package events

// Hold blocks the disk of a queue until release is called.
func Hold(e *Events, name string) (release func()) {
	q := e.endpoints[name].queues[reads]
	q.mu.Lock()
	return q.mu.Unlock
}

// BreakDisk makes all writes to a queue fail.
func BreakDisk(e *Events, name string) { e.endpoints[name].queues[reads].close() }

// InMemory is the maximum number of events that are not written yet.
const InMemory = channelSize + 2*writeBatchSize
