package cache

import "context"

// EvictAll removes content from the local disk that the bucket has, as far as nobody needs it at this moment.
func (c *Cache) EvictAll(ctx context.Context) error {
	_, err := c.bodies.Evict(ctx, 1<<60)
	return err
}
