"""What can be read: archives, article versions, inventories, plain text, cut into work items."""
