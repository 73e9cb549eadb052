"""The netx form: ``model.net``, which lava-dl's own loader turns into Lava processes (``docs/netx.md``)."""
