package load

// queue is connections first in, first out. There are never more than its
// capacity.
type queue struct {
	waiting []*connection
	first   int
	n       int
}

func (q *queue) len() int { return q.n }

func (q *queue) push(c *connection) {
	q.waiting = q.waiting[:cap(q.waiting)]
	q.waiting[(q.first+q.n)%len(q.waiting)] = c
	q.n++
}

func (q *queue) pop() *connection {
	c := q.waiting[q.first]
	q.first = (q.first + 1) % len(q.waiting)
	q.n--
	return c
}
