"""The demo as a page: a small server for one lab, and plain files that a browser reads as they are.

    feed -> Show (one scene, twenty moments a second at the most) -> Viewers (a bounded queue each) -> pages

A *moment* is what changed since the one before it. The page keeps them all, so it can show the past; it
learns nothing that is not in a moment, and a moment nothing that is not in the scene.
"""
