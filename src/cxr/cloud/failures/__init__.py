"""Why jobs fail, cloud by cloud, as tables: what a service says, in plain words, with the next thing to do."""
